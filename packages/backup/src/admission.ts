import type { GuestId, HostId, PointId, RepositoryId } from "@sterna/shared/ids";

/** A run that waits for its turn. */
export interface WaitingRun {
	pointId: PointId;
	guestId: GuestId;
	repositoryId: RepositoryId;
	dueAt: number;
	/** A retry waits until then. */
	notBefore: number;
	/** It begins until then or never. */
	windowEndsAt: number;
	atOncePerHost: number;
	atOncePerRepository: number;
}

/** A run, restore or drill that has begun: it counts against the limits. */
export interface ActiveTask {
	guestId: GuestId;
	hostId: HostId;
	repositoryId: RepositoryId;
}

/** What stands in the way of backing a guest up now, as the console knows it. */
export interface RunSituation {
	hostId: HostId;
	hostName: string;
	/** Why it cannot begin at the moment although its turn has come: the host is offline, it moves, … Null: it can. */
	obstacle: string | null;
}

export type Admission =
	| { pointId: PointId; kind: "start"; hostId: HostId }
	| { pointId: PointId; kind: "wait"; because: string }
	| { pointId: PointId; kind: "miss"; because: string };

/** A clock that was set back must not make a run wait for longer than any retry does. */
const longestWaitMs = 25 * 3_600_000;

/**
 * Which waiting runs begin at `now`, which wait and for what, and which are too late. Those due first begin first; one run
 * of a guest at a time; never more on a host or a repository than the run's job allows, counted over all jobs.
 * `situationOf` answers null for a guest that is not there any more.
 */
export function admit(
	waiting: readonly WaitingRun[],
	active: readonly ActiveTask[],
	situationOf: (run: WaitingRun) => RunSituation | null,
	now: number,
): Admission[] {
	const begun = [...active];
	const inOrder = [...waiting].sort((a, b) => a.dueAt - b.dueAt || (a.pointId < b.pointId ? -1 : 1));
	return inOrder.map((run) => {
		const answer = decide(run, begun, situationOf(run), now);
		if (answer.kind === "start") {
			begun.push({ guestId: run.guestId, repositoryId: run.repositoryId, hostId: answer.hostId });
		}
		return answer;
	});
}

function decide(run: WaitingRun, begun: readonly ActiveTask[], situation: RunSituation | null, now: number): Admission {
	const { pointId } = run;
	if (!situation) return { pointId, kind: "miss", because: "the guest is not there any more" };
	const because = reasonToWait(run, begun, situation, now);
	if (now > run.windowEndsAt) {
		return { pointId, kind: "miss", because: because ?? "its window was over before its turn came" };
	}
	return because === null ? { pointId, kind: "start", hostId: situation.hostId } : { pointId, kind: "wait", because };
}

function reasonToWait(
	run: WaitingRun,
	begun: readonly ActiveTask[],
	{ hostId, hostName, obstacle }: RunSituation,
	now: number,
): string | null {
	if (run.notBefore > now && run.notBefore - now < longestWaitMs) return "it is tried again in a while";
	if (obstacle) return obstacle;
	if (begun.some((task) => task.guestId === run.guestId)) return "another backup or restore of this guest is under way";
	const onHost = begun.filter((task) => task.hostId === hostId).length;
	if (onHost >= run.atOncePerHost) return `${hostName} does ${onHost} at once already`;
	const inRepository = begun.filter((task) => task.repositoryId === run.repositoryId).length;
	return inRepository >= run.atOncePerRepository ? `the repository takes ${inRepository} at once already` : null;
}

/** How an attempt ended without a point. */
export interface EndedAttempt {
	attempt: number;
	windowEndsAt: number;
	/** A person took it back: it is not tried again. */
	cancelledByPerson: boolean;
	/** The guest moved away meanwhile, and the backup gave way: not the backup's fault. */
	gaveWay: boolean;
}

/** When it is tried again, as which attempt; null with the reason when it is not. */
export function nextAttempt(
	ended: EndedAttempt,
	{ retries, retryAfterMs }: { retries: number; retryAfterMs: number },
	now: number,
): { notBefore: number; attempt: number } | { notBefore: null; because: string } {
	if (ended.cancelledByPerson) return { notBefore: null, because: "a person cancelled it" };
	const notBefore = ended.gaveWay ? now : now + retryAfterMs;
	if (notBefore > ended.windowEndsAt) return { notBefore: null, because: "its window is over" };
	if (ended.gaveWay) return { notBefore, attempt: ended.attempt };
	if (ended.attempt > retries) return { notBefore: null, because: `it was tried ${ended.attempt} times` };
	return { notBefore, attempt: ended.attempt + 1 };
}
