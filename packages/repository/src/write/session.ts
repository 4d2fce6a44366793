import { RecoveryPoint } from "@sterna/shared/backup";
import { asSternaError, SternaError, zodSentence } from "@sterna/shared/errors";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import { VolumeSizeBytes } from "@sterna/shared/volume";
import { createTombstone, type Manifest, manifestRecord, readPoint } from "../format/manifest.ts";
import { packOwner } from "../format/pack-id.ts";
import {
	createRecord,
	type LedgerRecord,
	ledgerKey,
	pointKey,
	putRecord,
	type SessionRecord,
	sealRecord,
	sessionKey,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { readVisiblePoint } from "../read/points.ts";
import type { VolumeWriter, WriteSession } from "../repository.ts";
import { NodeSource } from "../tree/node-source.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import { BatchSlots } from "./batch-slots.ts";
import { HashTable } from "./hash-table.ts";
import { KnownBlocks } from "./known-blocks.ts";
import { DataPacks, TreePacks } from "./pack-uploads.ts";
import { loadKnownBlocks, readCondemned, readSuspects, type Unusable } from "./reusable.ts";
import type { SessionParts } from "./volume-blocks.ts";
import { BatchingVolumeWriter } from "./volume-writer.ts";

const batchesUnderWay = 8;
const beatEveryMs = 5 * 60_000;

/**
 * The order is what makes collections safe without a lock: the session is there before it looks at the collections, and it
 * has looked before it relies on a parent or reuses a block. A collection that it did not see waits for its end.
 */
export async function beginSession(
	opened: Opened,
	{ pointId, parentPointId }: { pointId: PointId; parentPointId: PointId | null },
): Promise<WriteSession> {
	const key = sessionKey(pointId);
	const record: SessionRecord = { parentPointId, sawCollection: null, beat: 0 };
	await createRecord(opened, key, record);
	try {
		if ((await opened.storage.size(pointKey(pointId))) !== null) {
			throw new SternaError("conflict", `the recovery point ${pointId} was written or abandoned before`, {
				cure: "begin again with a new point",
			});
		}
		const condemned = await readCondemned(opened);
		const seen: SessionRecord = { ...record, sawCollection: condemned.sawCollection };
		await putRecord(opened, key, seen);
		const parent = parentPointId === null ? null : await readVisiblePoint(opened, parentPointId);
		const unusable = { ...condemned, suspects: await readSuspects(opened) };
		return new Session(opened, { pointId, parent, unusable, record: seen });
	} catch (error) {
		await opened.storage.remove(key).catch(() => {});
		throw error;
	}
}

class Session implements WriteSession {
	readonly pointId: PointId;
	readonly #opened: Opened;
	readonly #parent: Manifest | null;
	readonly #parts: SessionParts;
	readonly #slots = new BatchSlots(batchesUnderWay);
	readonly #volumes = new Map<VolumeId, BatchingVolumeWriter>();
	readonly #nodes: NodeSource;
	readonly #beat: { stop(): Promise<void> };
	#ended = false;

	constructor(
		opened: Opened,
		session: { pointId: PointId; parent: Manifest | null; unusable: Unusable; record: SessionRecord },
	) {
		this.pointId = session.pointId;
		this.#opened = opened;
		this.#parent = session.parent;
		this.#nodes = new NodeSource(opened);
		const { unusable } = session;
		const owner = packOwner(session.pointId);
		const table = new HashTable();
		this.#parts = {
			opened,
			unusable,
			known: new KnownBlocks(table, () => loadKnownBlocks(opened, unusable, table)),
			data: new DataPacks(opened, owner),
			nodes: new TreePacks(opened, owner),
		};
		this.#beat = startBeat(opened, session.pointId, session.record);
	}

	volume(request: { volumeId: VolumeId; sizeBytes: number; inherit: boolean }): VolumeWriter {
		this.#checkRunning();
		const { volumeId, sizeBytes, inherit } = request;
		const size = VolumeSizeBytes.safeParse(sizeBytes);
		if (!size.success) throw new SternaError("invalid", `volume ${volumeId}: ${zodSentence(size.error)}`);
		if (this.#volumes.has(volumeId)) {
			throw new SternaError("conflict", `volume ${volumeId} is being written in this session already`);
		}
		const before = this.#parent?.point.volumes.find((volume) => volume.volumeId === volumeId);
		if (inherit && before && before.sizeBytes > sizeBytes) {
			throw new SternaError("invalid", `volume ${volumeId} is smaller than in the parent point; read it whole`);
		}
		const root = this.#parent?.roots.find((each) => each.volumeId === volumeId)?.root ?? null;
		const parent = before
			? new TreeReader(this.#nodes, {
					root,
					blocks: before.sizeBytes / this.#opened.config.blockSizeBytes,
					forgiving: !inherit,
				})
			: null;
		const writer = new BatchingVolumeWriter(this.#parts, this.#slots, { volumeId, sizeBytes, inherit, parent });
		this.#volumes.set(volumeId, writer);
		return writer;
	}

	async commit(...[point, volumes]: Parameters<WriteSession["commit"]>): Promise<RecoveryPoint> {
		this.#checkRunning();
		const { recoveryPoint, roots } = this.#describe(point, volumes);
		await this.#parts.data.flush();
		await this.#parts.nodes.flush();
		const key = pointKey(this.pointId);
		const manifest = sealRecord(this.#opened.sealing, key, manifestRecord(recoveryPoint, roots));
		await this.#testify(recoveryPoint);
		await this.#createManifest(key, manifest);
		await this.#end();
		return recoveryPoint;
	}

	async abandon(): Promise<void> {
		if (this.#ended) return;
		await Promise.all([...this.#volumes.values()].map((volume) => volume.settled()));
		const isOver = await createTombstone(this.#opened, this.pointId).then(
			() => true,
			(error: unknown) => asSternaError(error).code === "conflict",
		);
		// Without a tombstone the session's object stays: it is what explains a ledger's entry that has no manifest.
		if (isOver) return this.#end();
		this.#ended = true;
		await this.#beat.stop();
	}

	#describe(...[point, volumes]: Parameters<WriteSession["commit"]>) {
		const roots = new Map<VolumeId, Manifest["roots"][number]["root"]>();
		const described: RecoveryPoint["volumes"] = [];
		for (const [volumeId, writer] of this.#volumes) {
			const said = volumes.get(volumeId);
			if (!writer.finished || !said) {
				throw new SternaError("wrong_state", `volume ${volumeId} is not finished, or nothing is said about it`);
			}
			const { root, ...finished } = writer.finished;
			roots.set(volumeId, root);
			described.push({ volumeId, ...finished, ...said });
		}
		if (volumes.size !== this.#volumes.size || point.pointId !== this.pointId) {
			throw new SternaError("wrong_state", `the point that is committed is not what session ${this.pointId} wrote`);
		}
		const { repositoryId } = this.#opened.config;
		const parsed = RecoveryPoint.safeParse({ ...point, repositoryId, volumes: described });
		if (!parsed.success) {
			throw new SternaError(
				"invalid",
				`recovery point ${this.pointId} cannot be written: ${zodSentence(parsed.error)}`,
			);
		}
		return { recoveryPoint: parsed.data, roots };
	}

	/**
	 * The ledger's entry comes before the manifest. A session object that is gone protected nothing any more, so what this
	 * session wrote or relied on may be gone, too.
	 */
	async #testify({ guestId, guestName, takenAt }: RecoveryPoint): Promise<void> {
		if ((await this.#opened.storage.size(sessionKey(this.pointId))) === null) {
			throw new SternaError("conflict", `the session of recovery point ${this.pointId} is gone from the repository`, {
				cure: "begin again with a new point; nothing of this one is visible",
			});
		}
		const entry: LedgerRecord = { is: "point", guestId, guestName, takenAt, pruned: false };
		await putRecord(this.#opened, ledgerKey(this.pointId), entry);
	}

	/** An answer that got lost must not turn a written point into a failed one: what stands there decides. */
	async #createManifest(key: string, manifest: Uint8Array): Promise<void> {
		try {
			await this.#opened.storage.create(key, manifest);
		} catch (error) {
			const present = await this.#opened.storage.get(key).catch(() => null);
			if (present && Buffer.compare(present, manifest) === 0) return;
			if (!(error instanceof SternaError) || error.code !== "conflict") throw error;
			throw new SternaError("conflict", `the session of recovery point ${this.pointId} was abandoned meanwhile`, {
				cure: "begin again with a new point; nothing of this one is visible",
				cause: error,
			});
		}
	}

	/** Best effort: the session object of a point that is there, or can never be, is ignored and collected. */
	async #end(): Promise<void> {
		this.#ended = true;
		await this.#beat.stop();
		await this.#opened.storage.remove(sessionKey(this.pointId)).catch(() => {});
	}

	#checkRunning(): void {
		if (this.#ended) throw new SternaError("wrong_state", `the session of recovery point ${this.pointId} has ended`);
	}
}

/** See `Repository.abandonSession`. */
export async function abandonSession(opened: Opened, pointId: PointId): Promise<boolean> {
	let abandoned = true;
	try {
		await createTombstone(opened, pointId);
	} catch (error) {
		if (!(error instanceof SternaError) || error.code !== "conflict") throw error;
		abandoned = (await readPoint(opened, pointId)).is === "abandoned";
	}
	await opened.storage.remove(sessionKey(pointId));
	return abandoned;
}

/** Rewrites the session now and then, so that a collection tells a slow writer from a dead one. */
function startBeat(opened: Opened, pointId: PointId, record: SessionRecord): { stop(): Promise<void> } {
	let beat = record.beat;
	let writing: Promise<void> = Promise.resolve();
	const timer = setInterval(() => {
		beat++;
		// Best effort: a beat that is missed costs the point only if many are, and then the commit says so.
		writing = writing.then(() => putRecord(opened, sessionKey(pointId), { ...record, beat })).catch(() => {});
	}, beatEveryMs);
	timer.unref();
	return {
		async stop() {
			clearInterval(timer);
			await writing;
		},
	};
}
