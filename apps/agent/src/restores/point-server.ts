import { setTimeout as delay } from "node:timers/promises";
import type { NbdServer } from "@sterna/nbd/nbd";
import { serveNbd } from "@sterna/nbd/server";
import { ReaderId } from "@sterna/repository/format/records";
import type { PointReader, Repository } from "@sterna/repository/repository";
import type { RepositoryAccess } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { PointId, RestoreId, VolumeId } from "@sterna/shared/ids";
import type { Repositories } from "../repositories/repositories.ts";
import { ChunkCache } from "./chunk-cache.ts";

/** A guest that waits longer for a read than this is held by its hypervisor until the repository is back. */
const answerWithinMs = 3_000;
const probeEveryMs = 1_000;
/** A repository that refuses is asked at growing pauses, up to this. */
const longestPauseMs = 5_000;

export interface ServePoint {
	repositories: Repositories;
	/** The key to be used now: a person may have given a better one meanwhile. */
	access(): RepositoryAccess;
	pointId: PointId;
	/** Who reads: the point is not freed while it does, also when it is pruned meanwhile. */
	restoreId: RestoreId;
	/** Which volume of the point is served as which export. */
	volumes: readonly { from: VolumeId; to: VolumeId }[];
	socketPath: string;
	/**
	 * `held`: for a guest. A read that is late is answered with an I/O error; what is zeros is not told, because a guest's
	 * hypervisor does without it (docs/decisions/0013). `patient`: for a copy. A read waits for as long as it takes.
	 */
	manner: "held" | "patient";
	/**
	 * What beginning to serve waits for. `away`: a repository that does not answer; all else is an error. `anything`: for a guest
	 * that runs already. A key that does not fit and a manifest that cannot be read may be well again too, and it has no other way.
	 */
	waitsFor: "away" | "anything";
	/** Ends that waiting. */
	signal: AbortSignal;
	/** The repository does not answer or a part of the point is lost (a sentence), or it answers again (null). */
	onAway(reason: string | null): void;
	onServed(bytes: number): void;
}

interface Opened {
	repository: Repository;
	reader: PointReader;
	close(): Promise<void>;
}

export interface PointServer {
	/** Fulfilled when the repository answers; at once when it does. Ends early when `signal` aborts. */
	isThere(signal: AbortSignal): Promise<void>;
	/** What a person should know before all: a part of the point that cannot be read because it is damaged or removed. Null: none was met. */
	readonly damage: SternaError | null;
	close(): Promise<void>;
}

/** Serves a point's volumes over NBD. The repository is opened again for as long as it takes: a server that stands still holds its guest. */
export async function servePoint(serve: ServePoint): Promise<PointServer> {
	const { repositories, pointId, volumes, socketPath, manner } = serve;
	const readerId = ReaderId.parse(serve.restoreId);
	const ended = new AbortController();
	let opened: Promise<Opened> | null = null;
	let openedWith: RepositoryAccess | null = null;
	let isServing = false;
	let away = false;
	let damage: SternaError | null = null;
	let removed: SternaError | null = null;

	const open = () => {
		const access = serve.access();
		if (opened && openedWith !== access) {
			void opened.then((former) => former.close()).catch(() => {});
			opened = null;
		}
		openedWith = access;
		if (opened) return opened;
		const opening = repositories.lease(access).then(async ({ repository, release }) => {
			try {
				const reader = await repository.openPoint(pointId, { readerId });
				return { repository, reader, close: () => reader.close().finally(release) };
			} catch (error) {
				release();
				throw error;
			}
		});
		opened = opening;
		opening.catch(() => {
			if (opened === opening) opened = null;
		});
		return opening;
	};
	const setAway = (reason: string | null) => {
		if (reason === null && !away) return;
		away = reason !== null;
		serve.onAway(reason);
	};
	/** One try. What is damaged or removed stays so; everything else may be well again later. */
	const attempt = async <Result>(task: (opened: Opened) => Promise<Result>): Promise<Result> => {
		try {
			const result = await task(await open());
			setAway(null);
			return result;
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (isServing && (error.code === "invalid" || error === removed)) {
				damage = error;
				serve.onAway(error.message.slice(0, 300));
			} else setAway(`the repository does not answer: ${error.message}`.slice(0, 300));
			throw error;
		}
	};
	const insist = async <Result>(
		task: (opened: Opened) => Promise<Result>,
		signal: AbortSignal,
		waitsFor: ServePoint["waitsFor"] = "away",
	): Promise<Result> => {
		for (let pauseMs = probeEveryMs; ; ) {
			try {
				return await attempt(task);
			} catch (thrown) {
				const isAway = asSternaError(thrown).code === "unavailable";
				if (signal.aborted) throw signal.reason;
				if (!isAway && waitsFor === "away") throw thrown;
				await delay(pauseMs, undefined, { signal }).catch(() => {});
				pauseMs = isAway ? probeEveryMs : Math.min(pauseMs * 2, longestPauseMs);
			}
		}
	};
	const read = async (volumeId: VolumeId, offset: number, lengthBytes: number): Promise<Uint8Array> => {
		const task = async ({ reader, repository }: Opened) => {
			try {
				return await reader.read(volumeId, offset, lengthBytes);
			} catch (thrown) {
				const error = asSternaError(thrown);
				// Removed, but only where the repository itself is at its place: a folder that is not mounted has nothing either.
				if (error.code !== "not_found" || !(await isAtItsPlace(repository))) throw error;
				removed ??= error;
				throw removed;
			}
		};
		if (manner === "patient") return insist(task, ended.signal);
		return within(attempt(task), () => setAway(`the repository has not answered for ${answerWithinMs} ms`));
	};

	const { reader } = await insist(async (it) => it, AbortSignal.any([serve.signal, ended.signal]), serve.waitsFor);
	isServing = true;
	const exports = volumes.map(({ from, to }) => {
		const volume = reader.point.volumes.find(({ volumeId }) => volumeId === from);
		if (!volume) throw new SternaError("not_found", `the recovery point ${pointId} has no volume ${from}`);
		const { sizeBytes } = volume;
		const cache = new ChunkCache({ sizeBytes, read: (offset, lengthBytes) => read(from, offset, lengthBytes) });
		const extents = async function* (offset: number, lengthBytes: number) {
			yield* (await open()).reader.extents(from, offset, lengthBytes);
		};
		return {
			name: to,
			sizeBytes,
			async read(offset: number, lengthBytes: number) {
				const data = await cache.read(offset, lengthBytes);
				serve.onServed(lengthBytes);
				return data;
			},
			...(manner === "patient" ? { extents } : {}),
		};
	});
	const server: NbdServer = await serveNbd({ socketPath, exports });
	return {
		get damage() {
			return damage;
		},
		async isThere(signal) {
			// Not a read of the point: that may be answered from memory.
			await insist(({ repository }) => repository.storage.size("config"), signal).catch(() => {});
		},
		async close() {
			ended.abort();
			await server.close();
			await opened?.then((last) => last.close()).catch(() => {});
		},
	};
}

async function isAtItsPlace({ storage }: Repository): Promise<boolean> {
	const sizeBytes = await storage.size("config").catch(() => null);
	return sizeBytes !== null;
}

async function within<Result>(work: Promise<Result>, onLate: () => void): Promise<Result> {
	const late = Promise.withResolvers<never>();
	const timer = setTimeout(() => {
		onLate();
		late.reject(new SternaError("unavailable", "the repository is late"));
	}, answerWithinMs);
	try {
		return await Promise.race([work, late.promise]);
	} finally {
		clearTimeout(timer);
	}
}
