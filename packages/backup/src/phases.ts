import type { BackupPhase } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { BackupRun } from "./run-state.ts";

/** One step of a run. `do` and `undo` can both be repeated; `undo` is right wherever `do` was interrupted. */
export interface Phase {
	name: BackupPhase;
	/** Why it stands at this place. */
	why: string;
	do(run: BackupRun): Promise<void>;
	/** Null where another phase's undo covers it, and from the commit point on, where there is only forward. */
	undo: ((run: BackupRun) => Promise<void>) | null;
	/** `commit` alone: when it has written the manifest, the point is there. */
	commits: boolean;
}

const openSession: Phase = {
	name: "openSession",
	why: "from here on nothing that the parent holds is freed, and all that can be refused is refused before the guest is touched",
	commits: false,
	async do(run) {
		const { repository } = run.ports;
		const plan = await repository.plan(run.cancel);
		await repository.openSession(plan.parentPointId, run.cancel);
		await run.note({ type: "planned", ...plan });
	},
	async undo(run) {
		await run.ports.repository.abandon();
	},
};

const takeSnapshot: Phase = {
	name: "takeSnapshot",
	why: "one instant of all disks; from here on the guest's old blocks go to local scratch, never to the repository",
	commits: false,
	async do(run) {
		const snapshot = await run.ports.guest.takeSnapshot(run.plan(), run.cancel);
		run.snapshot = snapshot;
		const { consistency, remark, frozenMs } = snapshot;
		await run.note({ type: "taken", consistency, remark, frozenMs });
	},
	undo: (run) => run.ports.guest.endSnapshot(run.plan(), "failed"),
};

const copyBlocks: Phase = {
	name: "copyBlocks",
	why: "the long part: the guest runs on, and everything before the manifest can be thrown away",
	commits: false,
	do: (run) =>
		run.ports.repository.copyBlocks({
			snapshot: run.needSnapshot(),
			volumes: run.plan(),
			onProgress: (progress) => run.onProgress(progress),
			signal: run.cancel,
		}),
	undo: null,
};

const commit: Phase = {
	name: "commit",
	why: "the commit point: the manifest makes the point visible, once it is sure that no block of the instant was lost",
	commits: true,
	async do(run) {
		const { guest, repository, clock } = run.ports;
		const { pointId, guestId, hostId, spec } = run.facts;
		const { takenAt, consistency, remark } = run.needSnapshot();
		if (!(await guest.isSnapshotWhole())) {
			throw new SternaError("unavailable", `the instant of guest ${spec.name} was lost while it was copied`, {
				cure: "free space in the agent's data folder for the guest's old blocks, then run again",
			});
		}
		const planned = run.journal.find(({ type }) => type === "planned");
		const point = await repository.commit(
			{
				pointId,
				guestId,
				guestName: spec.name,
				hostId,
				takenAt,
				finishedAt: clock.now(),
				parentPointId: planned?.type === "planned" ? planned.parentPointId : null,
				consistency,
				consistencyRemark: remark,
				spec,
			},
			run.plan(),
			run.cancel,
		);
		await run.note({ type: "committed", point });
	},
	undo: null,
};

const releaseSnapshot: Phase = {
	name: "releaseSnapshot",
	why: "only a point that is there lets the guest's changes count from it; before that they count from the parent",
	commits: false,
	do: (run) => run.ports.guest.endSnapshot(run.plan(), "committed"),
	undo: null,
};

/** One run, in order. */
export const phases: readonly Phase[] = [openSession, takeSnapshot, copyBlocks, commit, releaseSnapshot];
