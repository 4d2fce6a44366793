import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { GuestId, VolumeId } from "@sterna/shared/ids";
import { ResourceName } from "@sterna/shared/names";
import { Volume } from "@sterna/shared/volume";
import { z } from "zod";
import { makeFolderDurably, readJsonFile, removeDurably, writeDurably } from "../durable-file.ts";

/** A change of a guest's volumes that was begun, and of which anything or nothing may have been done. */
export const VolumeChange = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("grow"), guestId: GuestId, volumeId: VolumeId }),
	z.strictObject({ type: z.literal("attach"), guestId: GuestId, volume: Volume }),
	z.strictObject({
		type: z.literal("move"),
		guestId: GuestId,
		volumeId: VolumeId,
		fromPool: ResourceName,
		toPool: ResourceName,
	}),
]);
export type VolumeChange = z.infer<typeof VolumeChange>;

const ending = ".json";

/** `<dataDir>/volume-changes/<guestId>.json`: at most one change per guest, there from before it begins until it is settled. */
export class VolumeChangeFiles {
	readonly #folder: string;

	constructor(dataDir: string) {
		this.#folder = join(dataDir, "volume-changes");
	}

	/** Fulfilled when it would survive a power cut. */
	async write(change: VolumeChange): Promise<void> {
		await makeFolderDurably(this.#folder);
		await writeDurably(this.#path(change.guestId), JSON.stringify(VolumeChange.parse(change)));
	}

	async remove(guestId: GuestId): Promise<void> {
		await removeDurably(this.#path(guestId));
	}

	/** All that were begun and not settled. @throws {SternaError} `invalid` when one is damaged. */
	async list(): Promise<VolumeChange[]> {
		await makeFolderDurably(this.#folder);
		const names = (await readdir(this.#folder)).filter((name) => name.endsWith(ending));
		const changes = await Promise.all(names.map((name) => readJsonFile(join(this.#folder, name), VolumeChange)));
		return changes.filter((change) => change !== null);
	}

	#path(guestId: GuestId): string {
		return join(this.#folder, `${guestId}${ending}`);
	}
}
