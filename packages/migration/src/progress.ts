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
		memory: live.memory && memoryOf(live.memory),
		predictedDowntimeMs: live.memory?.expectedDowntimeMs ?? null,
		measuredDowntimeMs: downtimeOf(journal),
		error: failureOf(journal)?.error ?? null,
		journal: journal.map((entry) => ({ at: entry.at, text: tell(entry).slice(0, 500) })).slice(-200),
	};
}

/** One journal entry as a sentence. */
export function tell(entry: JournalEntry): string {
	switch (entry.type) {
		case "opened":
			return `${entry.move.guestName} is to move to ${entry.move.target.name} under epoch ${entry.move.epoch}`;
		case "phaseBegan":
			return `${entry.phase} began`;
		case "phaseDone":
			return `${entry.phase} done`;
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
			return `${entry.phase} undone`;
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

function memoryOf(memory: MemoryProgress): NonNullable<MigrationReport["memory"]> {
	const { totalBytes, transferredBytes, remainingBytes, passes, dirtyBytesPerSecond, bytesPerSecond } = memory;
	return { totalBytes, transferredBytes, remainingBytes, passes, dirtyBytesPerSecond, bytesPerSecond };
}
