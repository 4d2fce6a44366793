import type {
	BackupPhase,
	BackupPlan,
	Consistency,
	ReadReason,
	RestoreMode,
	RestorePhase,
	UpkeepKind,
} from "@sterna/shared/backup";
import type { JobRow, Protection, RepositoryHealth, RestoreRow, RunRow } from "../../server/views-backups.ts";
import type { Tone } from "../../ui/tone.ts";

/** How the states of backups read on screen, and what their colours mean. */

export const protectionTone: Record<Protection["state"], Tone> = {
	protected: "ok",
	late: "warn",
	unprotected: "watch",
	failing: "bad",
	damaged: "bad",
};

export const repositoryTone: Record<RepositoryHealth, Tone> = {
	healthy: "ok",
	watch: "watch",
	damaged: "bad",
	unreachable: "bad",
	full: "bad",
};

export const runTone: Record<RunRow["state"], Tone> = {
	scheduled: "neutral",
	running: "accent",
	waiting: "watch",
	undoing: "watch",
	completed: "ok",
	failed: "bad",
	cancelled: "neutral",
	missed: "warn",
};

export const restoreTone: Record<RestoreRow["state"], Tone> = {
	running: "accent",
	waiting: "watch",
	undoing: "watch",
	completed: "ok",
	failed: "bad",
	cancelled: "neutral",
};

export const jobRunTone: Record<NonNullable<JobRow["lastRun"]>["state"], Tone> = {
	running: "accent",
	completed: "ok",
	partly: "warn",
	failed: "bad",
	missed: "warn",
};

/** What a phase of a run does, as it is said while it runs. */
export const backupPhaseWords: Record<BackupPhase, { name: string; doing: string; what: string }> = {
	openSession: {
		name: "Open",
		doing: "opening the repository",
		what: "The run announces itself to the repository, so that nothing it builds on is tidied away.",
	},
	takeSnapshot: {
		name: "Snapshot",
		doing: "taking the snapshot",
		what: "All disks are held at one instant; the guest’s file systems stand still for that instant only.",
	},
	copyBlocks: {
		name: "Copy",
		doing: "copying blocks",
		what: "What changed is read, compressed, sealed and stored; blocks that are there already are not sent again.",
	},
	commit: {
		name: "Commit",
		doing: "writing the manifest",
		what: "The manifest is written last. From here on the recovery point is there.",
	},
	releaseSnapshot: {
		name: "Release",
		doing: "releasing the snapshot",
		what: "The host forgets the snapshot and marks from where the next run goes on.",
	},
};

export const restorePhaseWords: Record<RestorePhase, { name: string; doing: string; what: string }> = {
	prepare: { name: "Prepare", doing: "preparing the disks", what: "The host makes the disks that will hold the data." },
	copyBlocks: { name: "Copy", doing: "copying the disks", what: "The disks are written whole from the repository." },
	boot: { name: "Boot", doing: "starting the guest", what: "The guest’s processors run." },
	stream: {
		name: "Stream",
		doing: "streaming the data in",
		what: "The guest works already; what it has not asked for yet arrives behind it.",
	},
	prove: { name: "Prove", doing: "waiting for the check", what: "The guest has to answer before the drill counts." },
	finish: { name: "Finish", doing: "tidying up", what: "What only the restore needed is removed." },
};

/** The phases that a restore of each mode goes through, in order. */
export const phasesOfMode: Record<RestoreMode, readonly RestorePhase[]> = {
	copy: ["prepare", "copyBlocks", "finish"],
	instant: ["prepare", "boot", "stream", "finish"],
	drill: ["prepare", "boot", "prove", "finish"],
};

export const modeWord: Record<RestoreMode, string> = {
	copy: "restore",
	instant: "instant restore",
	drill: "drill",
};

/** Why a volume is read as it is: `short` for a table, `why` where there is room. */
export const readReasonWords: Record<ReadReason, { short: string; why: string }> = {
	unchangedChain: { short: "changes only", why: "the host kept track of every change since the last point" },
	firstBackup: { short: "first backup", why: "it is the guest’s first point in this repository" },
	newVolume: { short: "new disk", why: "the disk was not there at the last point" },
	lastPointGone: { short: "last point gone", why: "the point that the changes are counted from is not there any more" },
	lastPointDamaged: {
		short: "last point damaged",
		why: "the scrub found damage in the last point; reading whole heals it",
	},
	bitmapMissing: { short: "no record of changes", why: "the host has no record of what changed since the last point" },
	bitmapInconsistent: {
		short: "guest ended unexpectedly",
		why: "the guest’s process ended without closing its record of changes",
	},
	bitmapOfOtherPoint: {
		short: "other chain",
		why: "the record of changes begins at another point than the newest in this repository",
	},
	volumeShrunk: { short: "disk is smaller", why: "the disk is smaller than at the last point" },
	askedFor: { short: "asked for", why: "a whole read was asked for" },
};

export const consistencyWords: Record<Consistency, { word: string; meaning: string; tone: Tone }> = {
	application: {
		word: "application",
		meaning: "The guest’s file systems stood still for the instant: as after a clean sync.",
		tone: "ok",
	},
	crash: {
		word: "crash",
		meaning: "As after a power cut: journaling file systems and databases recover by themselves.",
		tone: "watch",
	},
	stopped: { word: "stopped", meaning: "The guest was off: nothing was under way.", tone: "ok" },
};

export const upkeepWords: Record<UpkeepKind, { name: string; what: string; run: string }> = {
	scrub: {
		name: "Scrub",
		what: "Reads everything that is stored and compares it with its seal. Names what is damaged.",
		run: "Scrub now",
	},
	collect: {
		name: "Collection",
		what: "Frees what no recovery point needs any more, while backups go on.",
		run: "Collect now",
	},
	canary: {
		name: "Canary",
		what: "Tries to delete something that must not be deletable, and has to fail.",
		run: "Try to delete now",
	},
};

/** What a run reads of a guest, as one sentence: the plan's, before it is done. */
export function readSentence(volumes: readonly BackupPlan["volumes"][number][]): string {
	if (volumes.length === 0) return "It has no disk; only its description is kept.";
	const whole = volumes.filter(({ read }) => read === "whole");
	const disks = (count: number) => `${count} ${count === 1 ? "disk" : "disks"}`;
	if (whole.length === 0) return `Only what changed is read, of ${disks(volumes.length)}.`;
	const reasons = [...new Set(whole.map(({ reason }) => readReasonWords[reason].why))].join("; ");
	return `${disks(whole.length)} of ${volumes.length} ${whole.length === 1 ? "is" : "are"} read whole: ${reasons}.`;
}

/** `0 points`, `1 point`, `7 points`. */
export function countOf(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
