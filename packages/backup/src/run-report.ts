import type { BackupPhase, BackupReport, TaskState } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { committedPoint, type RunEntry } from "./run-journal.ts";
import type { CopyProgress } from "./run-ports.ts";

export interface LiveProgress extends CopyProgress {
	/** Why nothing moves, when the repository is out of reach. */
	waitingFor: string | null;
}

/** How many lines of the journal a report carries: the latest. */
const toldLines = 100;

/** A run as it is told. What the journal knows comes from there, so that a restart of the agent changes nothing of it. */
export function backupReport(journal: readonly RunEntry[], live: LiveProgress, generation: number): BackupReport {
	const [opening] = journal;
	if (opening?.type !== "opened") throw new SternaError("internal", "a run's journal begins with its facts");
	const { run } = opening;
	const ended = journal.findLast((entry) => entry.type === "ended");
	const undoing = journal.findLast((entry) => entry.type === "undoing");
	const taken = journal.find((entry) => entry.type === "taken");
	const planned = journal.find((entry) => entry.type === "planned");
	const plan = planned?.type === "planned" ? planned.volumes : [];
	const point = committedPoint(journal);
	const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
	return {
		pointId: run.pointId,
		guestId: run.guestId,
		repositoryId: run.repositoryId,
		hostId: run.hostId,
		generation,
		state: stateOf(journal, live),
		phase: phaseOf(journal),
		startedAt: run.startedAt,
		endedAt: ended?.at ?? null,
		frozenMs: taken?.type === "taken" ? taken.frozenMs : null,
		totalBytes: sum(plan.map(({ readBytes }) => readBytes)),
		readBytes: point ? sum(point.volumes.map(({ readBytes }) => readBytes)) : live.readBytes,
		storedBytes: point ? sum(point.volumes.map(({ storedBytes }) => storedBytes)) : live.storedBytes,
		slowedBy: ended ? null : (live.waitingFor ?? live.slowedBy),
		volumes:
			point?.volumes ??
			plan.map(({ volumeId, sizeBytes, read, reason }) => ({
				volumeId,
				sizeBytes,
				read,
				reason,
				readBytes: 0,
				storedBytes: 0,
				changedBytes: 0,
			})),
		point,
		error:
			undoing?.type === "undoing" && !point
				? { ...undoing.error, message: undoing.error.message.slice(0, 4000) }
				: null,
		journal: journal.slice(-toldLines).flatMap((entry) => {
			const text = sentence(entry);
			return text === null ? [] : [{ at: entry.at, text: text.slice(0, 500) }];
		}),
	};
}

function stateOf(journal: readonly RunEntry[], live: LiveProgress): TaskState {
	const ended = journal.findLast((entry) => entry.type === "ended");
	if (ended?.type === "ended") return ended.state;
	const isUndoing = journal.some((entry) => entry.type === "undoing") && !committedPoint(journal);
	if (isUndoing) return "undoing";
	return live.waitingFor === null ? "running" : "waiting";
}

function phaseOf(journal: readonly RunEntry[]): BackupPhase {
	const entry = journal.findLast((one) => one.type === "phaseBegan");
	return entry?.type === "phaseBegan" ? entry.phase : "openSession";
}

const begins: Record<BackupPhase, string> = {
	openSession: "opens a session in the repository",
	takeSnapshot: "takes hold of one instant of all disks",
	copyBlocks: "copies what is needed of that instant",
	commit: "writes the recovery point",
	releaseSnapshot: "lets go of the instant",
};

function sentence(entry: RunEntry): string | null {
	switch (entry.type) {
		case "opened":
			return "the run began";
		case "planned":
			return entry.volumes
				.map(({ volumeId, read, reason }) => `${volumeId.slice(0, 8)}: ${read}, ${reason}`)
				.join("; ");
		case "phaseBegan":
			return begins[entry.phase];
		case "taken":
			return entry.remark ? `the instant is ${entry.consistency}-consistent: ${entry.remark}` : null;
		case "committed":
			return "the recovery point is there";
		case "undoing":
			return entry.cancelled ? `is cancelled: ${entry.error.message}` : `failed: ${entry.error.message}`;
		case "ended":
			return entry.state;
		case "note":
			return entry.text;
		case "phaseDone":
		case "undone":
			return null;
	}
}
