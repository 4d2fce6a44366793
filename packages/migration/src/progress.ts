import { SternaError } from "@sterna/shared/errors";
import {
	endedMigrationStates,
	type MigrationPhase,
	type MigrationReport,
	type MigrationState,
} from "@sterna/shared/migration";
import { failureOf, type JournalEntry } from "./journal.ts";
import type { DiskProgress, MemoryProgress } from "./ports.ts";

/** What is known of a running move beyond its journal. */
export interface LiveProgress {
	disk: DiskProgress | null;
	memory: MemoryProgress | null;
	/** The target was told to run the guest and has not answered. */
	inDoubt: boolean;
}

/**
 * The report of a move: a function of its journal and of what is known now, so that a restarted agent tells the same
 * story. Generations rise with time, so that no report of an earlier life of the agent is newer.
 * @throws {SternaError} `internal` for a journal without an opening.
 */
export function migrationReport(
	journal: readonly JournalEntry[],
	live: LiveProgress,
	previousGeneration: number,
	nowMs: number,
): MigrationReport {
	const opening = journal[0];
	if (opening?.type !== "opened") throw new SternaError("internal", "a journal does not begin with its opening");
	const { migrationId, guestId, epoch, sourceHostId, target, startedAt } = opening.move;
	const phases = phasesOf(journal);
	const state = stateOf(journal, live);
	const ended = endedMigrationStates.includes(state);
	return {
		migrationId,
		guestId,
		epoch,
		sourceHostId,
		targetHostId: target.hostId,
		generation: Math.max(previousGeneration + 1, nowMs - startedAt),
		state,
		phase: phases.at(-1)?.phase ?? "prepareTarget",
		startedAt,
		endedAt: ended ? (journal.at(-1)?.at ?? null) : null,
		phases,
		disk: live.disk && { totalBytes: live.disk.totalBytes, transferredBytes: live.disk.transferredBytes },
		memory: live.memory && memoryOf(live.memory, hasSentMemory(journal)),
		predictedDowntimeMs: live.memory?.expectedDowntimeMs ?? null,
		measuredDowntimeMs: downtimeOf(journal),
		error: failureOf(journal)?.error ?? null,
		journal: journal.map((entry) => ({ at: entry.at, text: tell(entry).slice(0, 500) })).slice(-200),
	};
}

const phaseWords: Record<MigrationPhase, { began: string; done: string; undone: string }> = {
	prepareTarget: {
		began: "preparing the target",
		done: "the target is prepared",
		undone: "the target has discarded what it had",
	},
	copyDisks: {
		began: "copying the disks",
		done: "the disks are in sync",
		undone: "the copying of the disks is undone",
	},
	copyMemory: {
		began: "copying memory",
		done: "memory copied, but for the last changes",
		undone: "the copying of memory is undone",
	},
	switchOver: {
		began: "sending the last changes",
		done: "the target has everything",
		undone: "the guest runs on its old host",
	},
	handOver: {
		began: "handing the guest over",
		done: "the guest is handed over",
		undone: "the hand-over is undone",
	},
	retireSource: {
		began: "removing the guest from its old host",
		done: "the guest is removed from its old host",
		undone: "the removing is undone",
	},
};

/** One journal entry as a person reads it. */
export function tell(entry: JournalEntry): string {
	switch (entry.type) {
		case "opened":
			return `${entry.move.guestName} is to move to ${entry.move.target.name} under epoch ${entry.move.epoch}`;
		case "phaseBegan":
			return phaseWords[entry.phase].began;
		case "phaseDone":
			return phaseWords[entry.phase].done;
		case "prepared":
			return entry.copiedVolumes.length === 0
				? "the target is ready; its disks are shared"
				: `the target is ready; ${entry.copiedVolumes.length} disk${entry.copiedVolumes.length === 1 ? "" : "s"} to copy`;
		case "paused":
			return "the guest is paused";
		case "heard":
			return entry.restarted
				? "the guest was started from its disks on the target: its memory was lost"
				: "the guest runs on the target";
		case "undoing":
			return entry.cancelled ? "cancelled; undoing" : `undoing: ${entry.error.message}`;
		case "undone":
			return phaseWords[entry.phase].undone;
		case "ended":
			return entry.state;
		case "note":
			return entry.text;
	}
}

function phasesOf(journal: readonly JournalEntry[]): MigrationReport["phases"] {
	const phases = new Map<MigrationPhase, MigrationReport["phases"][number]>();
	for (const entry of journal) {
		if (entry.type === "phaseBegan" && !phases.has(entry.phase)) {
			phases.set(entry.phase, { phase: entry.phase, startedAt: entry.at, endedAt: null });
		} else if (entry.type === "phaseDone" || entry.type === "undone") {
			const phase = phases.get(entry.phase);
			if (phase && phase.endedAt === null) phase.endedAt = entry.at;
		}
	}
	return [...phases.values()];
}

function stateOf(journal: readonly JournalEntry[], live: LiveProgress): MigrationState {
	const ended = journal.findLast((entry) => entry.type === "ended");
	if (ended?.type === "ended") return ended.state;
	if (live.inDoubt) return "inDoubt";
	return journal.some((entry) => entry.type === "undoing") ? "undoing" : "running";
}

/** By the source's clock, so it includes the way of the answer: never less than what the guest's clients felt. */
function downtimeOf(journal: readonly JournalEntry[]): number | null {
	const paused = journal.findLast((entry) => entry.type === "paused");
	const heard = journal.findLast((entry) => entry.type === "heard");
	return paused && heard ? Math.max(0, heard.at - paused.at) : null;
}

function hasSentMemory(journal: readonly JournalEntry[]): boolean {
	const sent = journal.some((entry) => entry.type === "phaseDone" && entry.phase === "switchOver");
	return sent && !journal.some((entry) => entry.type === "undoing");
}

/** The last look at the copying was before the switchover: what was left then has been sent since. */
function memoryOf(memory: MemoryProgress, isSent: boolean): NonNullable<MigrationReport["memory"]> {
	const { totalBytes, transferredBytes, passes, dirtyBytesPerSecond, bytesPerSecond } = memory;
	const remainingBytes = isSent ? 0 : memory.remainingBytes;
	return { totalBytes, transferredBytes, remainingBytes, passes, dirtyBytesPerSecond, bytesPerSecond };
}
