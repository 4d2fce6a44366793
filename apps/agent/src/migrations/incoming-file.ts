import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, MigrationId, VolumeId } from "@sterna/shared/ids";
import { z } from "zod";
import type { AgentContext } from "../context.ts";
import { makeFolderDurably, readJsonFile, removeDurably, writeDurably } from "../durable-file.ts";

/** What an arriving guest has made on this host beyond its record, written before it is made, so that it can be undone. */
export const Arriving = z.strictObject({
	migrationId: MigrationId,
	spec: GuestSpec,
	/** Volumes that exist here for this move only; shared ones are not among them. */
	copiedVolumes: z.array(VolumeId).max(16),
});
export type Arriving = z.infer<typeof Arriving>;

const ending = ".json";

/** `<dataDir>/migrations/incoming/<guestId>.json`, one per guest that is arriving. */
export class ArrivingFiles {
	readonly #folder: string;

	constructor(dataDir: string) {
		this.#folder = join(dataDir, "migrations", "incoming");
	}

	async write(arriving: Arriving): Promise<void> {
		await makeFolderDurably(this.#folder);
		await writeDurably(this.#path(arriving.spec.id), JSON.stringify(Arriving.parse(arriving)));
	}

	/** Null when there is none. @throws {SternaError} `invalid` when it is damaged. */
	read(guestId: GuestId): Promise<Arriving | null> {
		return readJsonFile(this.#path(guestId), Arriving);
	}

	async remove(guestId: GuestId): Promise<void> {
		await makeFolderDurably(this.#folder);
		await removeDurably(this.#path(guestId));
	}

	/** Deletes the volumes that the file tells of: those made here for the move; never shared ones. Repeatable. */
	async deleteVolumes(
		guestId: GuestId,
		{ hypervisor, places }: Pick<AgentContext, "hypervisor" | "places">,
	): Promise<void> {
		const arriving = await this.read(guestId);
		if (!arriving) return;
		for (const location of places.volumes(arriving.spec)) {
			if (arriving.copiedVolumes.includes(location.volumeId)) await hypervisor.deleteVolume(location);
		}
	}

	async list(): Promise<GuestId[]> {
		await makeFolderDurably(this.#folder);
		return (await readdir(this.#folder)).flatMap((name) => {
			const id = GuestId.safeParse(name.endsWith(ending) ? name.slice(0, -ending.length) : "");
			return id.success ? [id.data] : [];
		});
	}

	#path(guestId: GuestId): string {
		return join(this.#folder, `${guestId}${ending}`);
	}
}
