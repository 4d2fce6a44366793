import type { RecoveryPoint, RepositoryDamage, RepositoryKey, RepositoryUsage } from "@sterna/shared/backup";
import type { PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import type { ReaderId } from "./format/records.ts";
import type { Storage } from "./storage.ts";

export { ReaderId } from "./format/records.ts";

/**
 * A repository, opened: what `docs/backup-format.md` describes. `openRepository` and `createRepository` in `open.ts` make one.
 * Compression, hashing and encryption run in worker threads; many sessions, readers and one round of upkeep may run at once,
 * in any number of processes, without a lock on one another.
 *
 * Errors are `SternaError`s: those of the storage, `invalid` naming object and reason for what is not as it was written,
 * `forbidden` for a wrong or replaced key.
 */
export interface Repository {
	readonly repositoryId: RepositoryId;
	readonly storage: Storage;
	readonly blockSizeBytes: number;

	/** Every visible point, in no order. One whose manifest cannot be read is left out and told. */
	points(): Promise<{ points: RecoveryPoint[]; unreadable: { pointId: PointId; reason: string }[] }>;
	/** Begins a session: from here on nothing that `parent` holds is freed. Null `parent`: nothing is inherited. @throws `not_found` when the parent is not visible. */
	beginSession(request: { pointId: PointId; parentPointId: PointId | null }): Promise<WriteSession>;
	/** Makes sure that a session that was never committed can never be: for one whose writer is gone. Committed: `false`, no change. */
	abandonSession(pointId: PointId): Promise<boolean>;
	/**
	 * Opens a visible point. With a `readerId` it is held: whatever is pruned meanwhile, no collection frees what the point
	 * needs, until `endReading`. Opened again with the same id it goes on where an earlier life ended, pruned or not. A reader
	 * that is neither open nor opened again for an hour or more is taken for dead, and its hold goes. A place that takes
	 * nothing (`forbidden`, `no_capacity`) is read without a hold.
	 *
	 * @throws {SternaError} `not_found` when the point is not visible, or was freed. The same later from every method of the
	 * reader that meets what was freed because the hold was lost, or there was none: never `invalid`, which is damage.
	 */
	openPoint(pointId: PointId, hold?: { readerId: ReaderId }): Promise<PointReader>;
	/** Lets go of what `openPoint` holds. None: no change. Close the reader before. */
	endReading(readerId: ReaderId): Promise<void>;
	/**
	 * The volumes of a point that refer to blocks that a scrub noted as suspect: the next run reads them whole, so that they
	 * are written again. While nothing is suspect, which is almost always, this answers at once.
	 */
	damagedVolumes(pointId: PointId): Promise<VolumeId[]>;
	/** Makes points invisible at once and for good; a collection frees their space. */
	prune(pointIds: readonly PointId[]): Promise<void>;

	/**
	 * Frees what no point needs, beside running sessions, readers and other collections. Where what is written is locked it
	 * extends the locks of what is needed, about once a day; those that could not be are told and tried again the next time.
	 */
	collect(options: UpkeepOptions): Promise<Collected>;
	/** Reads and checks every object; damaged blocks are noted, so that the next backup writes them again. */
	scrub(options: UpkeepOptions): Promise<{ damages: RepositoryDamage[] }>;
	/** Tries to delete what must not be deletable. True: it could not. @throws `wrong_state` when it could although the place says it is locked. */
	canary(): Promise<boolean>;
	usage(): Promise<RepositoryUsage>;
	/** The new key opens everything, the old one nothing. */
	replaceKey(newKey: RepositoryKey): Promise<void>;
	close(): Promise<void>;
}

/** What a collection did. */
export interface Collected {
	freedBytes: number;
	/** Sessions that a round waits for. */
	waitingFor: number;
	/** Objects whose locks could not be extended, and why not the first of them; null: none. */
	lockFailures: { objects: number; reason: string } | null;
}

export interface UpkeepOptions {
	signal: AbortSignal;
	onProgress?(progress: { totalBytes: number; doneBytes: number }): void;
}

/** One writer of one point. Nothing of it is visible before `commit`. */
export interface WriteSession {
	readonly pointId: PointId;
	/**
	 * One disk. What is not written is inherited from the parent point's volume of the same id, or is zeros. Offsets rise;
	 * a grown disk inherits what the smaller one had.
	 */
	volume(request: { volumeId: VolumeId; sizeBytes: number; inherit: boolean }): VolumeWriter;
	/** The point is visible when this is fulfilled; `conflict` when the session was abandoned. */
	commit(
		point: Omit<RecoveryPoint, "repositoryId" | "volumes">,
		volumes: Map<
			VolumeId,
			Omit<RecoveryPoint["volumes"][number], "volumeId" | "sizeBytes" | "storedBytes" | "changedBytes" | "readBytes">
		>,
	): Promise<RecoveryPoint>;
	/** Ends the session without a point. Best effort: what was stored is freed by a collection. */
	abandon(): Promise<void>;
}

export interface VolumeWriter {
	/** Whole blocks (the last of the disk may be short). Fulfilled when more can be taken; the content may be used on only after. */
	write(offset: number, data: Uint8Array): Promise<void>;
	/** Zeros, without having been read. */
	zero(offset: number, lengthBytes: number): Promise<void>;
	/** All of it is stored. `changedBytes`: of what was written, what differs from the parent. */
	finish(): Promise<{ readBytes: number; storedBytes: number; changedBytes: number }>;
}

/** One point, opened for reading. Every byte that comes out was checked against its keyed hash. */
export interface PointReader {
	readonly point: RecoveryPoint;
	/** @throws `invalid` naming the volume and byte range that cannot be read; `unavailable` when the repository is away. */
	read(volumeId: VolumeId, offset: number, lengthBytes: number): Promise<Uint8Array>;
	/** What is data and what is zeros, in order, for the range. */
	extents(
		volumeId: VolumeId,
		offset: number,
		lengthBytes: number,
	): AsyncIterable<{ offset: number; lengthBytes: number; zero: boolean }>;
	/**
	 * Hands out all data of a volume, in the order in which it is fastest to read (mostly the disk's), each piece once;
	 * zeros are left out. Waits for `sink`; several pieces may be in flight. `data` is lent until then: its memory takes the
	 * next piece.
	 */
	restore(
		volumeId: VolumeId,
		sink: (offset: number, data: Uint8Array) => Promise<void>,
		options: UpkeepOptions,
	): Promise<void>;
	/** Ends reading in this process; a hold stays for whoever goes on, until `endReading`. */
	close(): Promise<void>;
}
