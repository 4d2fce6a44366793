import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NbdExport, NbdServer } from "@sterna/nbd/nbd";
import { serveNbd } from "@sterna/nbd/server";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, VolumeId } from "@sterna/shared/ids";
import { z } from "zod";
import type { EndSnapshot, SnapshotReport, TakeSnapshot, VolumeLocation, VolumeTracking } from "../hypervisor.ts";
import type { SimulatedGuests } from "./guests.ts";
import { readJsonFile, SimulatedVolume, writeJsonFile } from "./record.ts";
import { beginBitmap, isDirty, settled, snapshotExport, trackingOf } from "./snapshot-content.ts";

/** A snapshot as its file says it: a later life of the driver serves it again. */
const OpenSnapshot = z.strictObject({
	/** Whether the guest had a process: with that it ends. */
	running: z.boolean(),
	volumes: z.array(
		z.strictObject({
			volumeId: VolumeId,
			sizeBytes: z.int(),
			count: z.int(),
			since: z.string().nullable(),
			isDirty: z.boolean(),
		}),
	),
});
type OpenSnapshot = z.infer<typeof OpenSnapshot>;

/** What the simulated driver does for backups: a snapshot copies the count, which is all that a volume has in it. */
export class SimulatedSnapshots {
	readonly #runFolder: string;
	readonly #guests: SimulatedGuests;
	readonly #servers = new Map<GuestId, NbdServer>();

	constructor(runFolder: string, guests: SimulatedGuests) {
		this.#runFolder = runFolder;
		this.#guests = guests;
	}

	/** Serves the snapshots again that an earlier life left open. */
	async adopt(): Promise<void> {
		const names = await readdir(this.#runFolder);
		for (const guestId of names.flatMap((name) => GuestId.safeParse(name).data ?? [])) {
			const open = await this.#find(guestId);
			if (open && !this.#servers.has(guestId)) await this.#serve(guestId, open);
		}
	}

	async changeTracking(guestId: GuestId, volumes: readonly VolumeLocation[]): Promise<VolumeTracking[]> {
		const all = await Promise.all(volumes.map((location) => this.#volume(guestId, location)));
		return volumes.map(({ volumeId }, index) => trackingOf(volumeId, at(all, index)));
	}

	async takeSnapshot({ guestId, mark, volumes, freeze }: TakeSnapshot): Promise<SnapshotReport> {
		if (!/^[a-z0-9-]{1,31}$/.test(mark))
			throw new SternaError("invalid", `${JSON.stringify(mark)} is no bitmap's name`);
		if ((await this.#find(guestId)) !== null) {
			throw new SternaError("conflict", `a snapshot of guest ${guestId} is open already`);
		}
		const running = this.#guests.has(guestId);
		const all = await Promise.all(volumes.map((location) => this.#volume(guestId, location)));
		for (const [index, { volumeId, since }] of volumes.entries()) {
			const { bitmaps } = at(all, index);
			const bitmap = bitmaps.find(({ name }) => name === since);
			if (since !== null && (!bitmap || bitmap.inconsistent || bitmap.endedAt !== null)) {
				throw new SternaError("wrong_state", `the bitmap ${since} of the volume ${volumeId} tells nothing`);
			}
		}
		const open: OpenSnapshot = { running, volumes: [] };
		for (const [index, { volumeId, path, since, scratchPath }] of volumes.entries()) {
			const volume = at(all, index);
			const { count } = volume;
			const ended = volume.bitmaps.map((bitmap) => (bitmap.name === since ? { ...bitmap, endedAt: count } : bitmap));
			const stored = running ? volume.stored : [...volume.stored, mark];
			await writeJsonFile(path, { ...volume, stored, bitmaps: [...ended, beginBitmap(mark, count)] });
			await writeFile(scratchPath, "");
			const changed = ended.some((bitmap) => bitmap.name === since && isDirty(bitmap, count));
			open.volumes.push({ volumeId, sizeBytes: volume.simulatedVolumeBytes, count, since, isDirty: changed });
		}
		await mkdir(join(this.#runFolder, guestId), { recursive: true });
		await writeFile(this.#file(guestId), JSON.stringify(open));
		await this.#serve(guestId, open);
		return {
			takenAt: Date.now(),
			consistency: running ? "crash" : "stopped",
			remark: running && freeze ? "no guest agent answers: its file systems were not frozen" : null,
			frozenMs: null,
			socket: this.#socket(guestId),
			volumes: open.volumes.map(({ volumeId, sizeBytes, since }) => ({
				volumeId,
				sizeBytes,
				changes: contextOf(since),
			})),
		};
	}

	async isSnapshotWhole(guestId: GuestId): Promise<boolean> {
		return (await this.#find(guestId)) !== null;
	}

	async endSnapshot({ guestId, mark, volumes, outcome }: EndSnapshot): Promise<void> {
		await this.#close(guestId);
		for (const { volumeId, path, since, stale = [], scratchPath } of volumes) {
			const isThere = (await readJsonFile(path, SimulatedVolume)) !== null;
			const volume = isThere ? await this.#volume(guestId, { volumeId, path }) : null;
			if (volume) await writeJsonFile(path, { ...volume, bitmaps: settled(volume, { mark, since, stale, outcome }) });
			await rm(scratchPath, { force: true });
		}
	}

	/** With its process a guest's snapshot ends; killed, its bitmaps cannot be trusted. */
	async onEnd(guestId: GuestId, volumes: readonly VolumeLocation[], killed: boolean): Promise<void> {
		if ((await this.#find(guestId))?.running) await this.#close(guestId);
		for (const { path } of volumes) {
			const volume = await readJsonFile(path, SimulatedVolume);
			if (volume === null) continue;
			// What began in this process's life was not written to the file yet.
			const kept = volume.bitmaps.filter(({ name }) => volume.stored.includes(name));
			const bitmaps = killed
				? kept.map((bitmap) => ({ ...bitmap, inconsistent: true }))
				: volume.bitmaps.map((bitmap) => ({ ...bitmap, dirty: isDirty(bitmap, volume.count) }));
			await writeJsonFile(path, { ...volume, bitmaps, stored: bitmaps.map(({ name }) => name) });
		}
	}

	/** @throws {SternaError} `conflict` while the guest is read as a stopped one. */
	async refuseStart(guestId: GuestId): Promise<void> {
		if ((await this.#find(guestId)) === null) return;
		throw new SternaError("conflict", `guest ${guestId} is being backed up as a stopped guest`);
	}

	async close(): Promise<void> {
		for (const server of this.#servers.values()) await server.close();
		this.#servers.clear();
	}

	async #close(guestId: GuestId): Promise<void> {
		await rm(this.#file(guestId), { force: true });
		await this.#servers.get(guestId)?.close();
		this.#servers.delete(guestId);
	}

	async #serve(guestId: GuestId, { volumes }: OpenSnapshot): Promise<void> {
		const exports: NbdExport[] = volumes.map(({ volumeId, sizeBytes, count, since, isDirty: changed }) =>
			snapshotExport({ name: volumeId, sizeBytes, count, context: contextOf(since), isDirty: changed }),
		);
		this.#servers.set(guestId, await serveNbd({ socketPath: this.#socket(guestId), exports }));
	}

	#find(guestId: GuestId): Promise<OpenSnapshot | null> {
		return readJsonFile(this.#file(guestId), OpenSnapshot);
	}

	/** The volume with what its guest has counted up to now. @throws {SternaError} `not_found` */
	async #volume(guestId: GuestId, { volumeId, path }: VolumeLocation): Promise<SimulatedVolume> {
		const volume = await readJsonFile(path, SimulatedVolume);
		if (volume === null) throw new SternaError("not_found", `the volume ${volumeId} is not there`);
		return this.#guests.has(guestId) ? { ...volume, count: this.#guests.count(guestId) } : volume;
	}

	#file(guestId: GuestId): string {
		return join(this.#runFolder, guestId, "snapshot.json");
	}

	#socket(guestId: GuestId): string {
		return join(this.#runFolder, guestId, "backup");
	}
}

function contextOf(since: string | null): string | null {
	return since === null ? null : `qemu:dirty-bitmap:${since}`;
}

function at<Value>(all: readonly Value[], index: number): Value {
	const value = all[index];
	if (value === undefined) throw new SternaError("internal", "a volume was lost");
	return value;
}
