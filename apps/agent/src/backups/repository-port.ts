import { deadlines } from "@sterna/backup/run";
import type { RunFacts } from "@sterna/backup/run-journal";
import type { CopyProgress, RepositoryPort, RunClock } from "@sterna/backup/run-ports";
import type { GuestStats } from "@sterna/hypervisor/hypervisor";
import { connectNbd } from "@sterna/nbd/client";
import type { Repository, WriteSession } from "@sterna/repository/repository";
import type { RepositoryAccess } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import type { AgentContext } from "../context.ts";
import { needAccess, type Repositories } from "../repositories/repositories.ts";
import { copyVolume } from "./copy.ts";
import { Pacer } from "./pacer.ts";
import { readChain } from "./plan.ts";

/** Progress is told twice a second. */
const tellMs = 500;

export interface SessionOf {
	context: AgentContext;
	repositories: Repositories;
	facts: RunFacts;
	/** Null when it was not kept: then nothing of the repository can be had. */
	access: RepositoryAccess | null;
	clock: RunClock;
	/** The points of this guest in this repository that this host has made. */
	remembered: readonly PointId[];
	/** The run is cancelled or this agent ends. */
	signal: AbortSignal;
	onWaiting(reason: string | null): void;
}

/** One session of one repository, opened when it is first needed. */
export function repositoryPort(of: SessionOf): RepositoryPort {
	const { context, repositories, facts, access, clock } = of;
	const { hypervisor, store, places } = context;
	const { guestId, pointId, options } = facts;
	const over = new AbortController();
	let opened: Promise<Repository> | null = null;
	let session: WriteSession | null = null;
	let storedBytes = 0;
	/** What the guest had written when the run began: how it fares without one is seen from there to the first read. */
	let before: GuestStats | null = null;

	const open = (): Promise<Repository> => {
		const signal = AbortSignal.any([of.signal, over.signal]);
		const patience = { clock, forMs: deadlines.repositoryAwayMs, signal, onWaiting: of.onWaiting };
		opened ??= repositories.openPatiently(needAccess(access), patience, (bytes) => {
			storedBytes += bytes;
		});
		return opened;
	};
	const needSession = (): WriteSession => {
		if (session) return session;
		throw new SternaError("internal", "the run has no session");
	};
	const stats = async () => ((await hypervisor.inspect(guestId)).state === "absent" ? null : hypervisor.stats(guestId));

	return {
		async plan() {
			before = await stats().catch(() => null);
			const spec = store.get(guestId)?.spec ?? facts.spec;
			const guest = { guestId, volumes: places.volumes(spec), remembered: of.remembered, readWhole: options.readWhole };
			return readChain(hypervisor, await open(), guest);
		},
		async openSession(parentPointId) {
			session = await (await open()).beginSession({ pointId, parentPointId });
		},
		async copyBlocks({ snapshot, volumes, onProgress, signal }) {
			const { blockSizeBytes } = await open();
			const progress: CopyProgress = { readBytes: 0, storedBytes: 0, slowedBy: null };
			const now = await stats().catch(() => null);
			const limitBytesPerSecond = options.bytesPerSecond;
			const pacer = new Pacer({ limitBytesPerSecond, clock, signal, stats, before, now });
			const tell = () => onProgress({ ...progress, storedBytes, slowedBy: pacer.slowedBy });
			const ticking = setInterval(tell, tellMs);
			try {
				for (const { volumeId, sizeBytes, changes } of snapshot.volumes) {
					const inherit = volumes.find((one) => one.volumeId === volumeId)?.inherit ?? false;
					const writer = needSession().volume({ volumeId, sizeBytes, inherit });
					const contexts = ["base:allocation", ...(changes === null ? [] : [changes])];
					const client = await connectNbd({ socketPath: snapshot.socket, exportName: volumeId, contexts });
					try {
						await copyVolume({
							client,
							changes,
							sizeBytes,
							blockSizeBytes,
							writer,
							turn: (bytes) => pacer.turn(bytes),
							onRead: (bytes) => {
								progress.readBytes += bytes;
							},
						});
						await writer.finish();
					} finally {
						await client.close();
					}
				}
				tell();
			} finally {
				clearInterval(ticking);
				pacer.end();
			}
		},
		commit: (point, volumes) =>
			needSession().commit(point, new Map(volumes.map(({ volumeId, read, reason }) => [volumeId, { read, reason }]))),
		async abandon() {
			// What waits for the place in the session's name must not go on beside this.
			over.abort(new SternaError("cancelled", "the session was abandoned"));
			await session?.abandon().catch(() => {});
			return repositories.use(needAccess(access), async (repository) => {
				if (await repository.abandonSession(pointId)) return null;
				const reader = await repository.openPoint(pointId).catch((thrown: unknown) => {
					// Pruned already: the point was there and is not wanted any more.
					if (asSternaError(thrown).code === "not_found") return null;
					throw thrown;
				});
				await reader?.close();
				return reader?.point ?? null;
			});
		},
		async close() {
			over.abort(new SternaError("cancelled", "the session was closed"));
			// Best effort: what it has stored is told by the journal and the repository.
			await opened?.then((repository) => repository.close()).catch(() => {});
		},
	};
}
