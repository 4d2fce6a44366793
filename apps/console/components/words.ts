import type { GuestAction, GuestState } from "@sterna/shared/guest";
import type { HealthState, SensorKind } from "@sterna/shared/health";
import type { MigrationPhase, MigrationState } from "@sterna/shared/migration";
import { formatBytes, GiB, KiB, MiB, TiB } from "@sterna/shared/units";
import type { EvacuationItemState, EvacuationState } from "../server/views-migrations.ts";
import type { Headline } from "../server/views-overview.ts";
import type { Tone } from "../ui/tone.ts";

/** How each state reads on screen, and what its colour means. */

export const healthTone: Record<HealthState, Tone> = {
	healthy: "ok",
	watch: "watch",
	degraded: "warn",
	failing: "bad",
	unknown: "neutral",
};

export const guestStateTone: Record<GuestState, Tone> = {
	running: "ok",
	starting: "accent",
	stopping: "accent",
	paused: "watch",
	stopped: "neutral",
	crashed: "bad",
	unknown: "warn",
};

export const headlineTone: Record<Headline["tone"], Tone> = {
	calm: "ok",
	watch: "watch",
	degraded: "warn",
	failing: "bad",
};

export const migrationStateTone: Record<MigrationState, Tone> = {
	running: "accent",
	undoing: "watch",
	inDoubt: "bad",
	completed: "ok",
	failed: "bad",
	cancelled: "neutral",
};

export const migrationStateWord: Record<MigrationState, string> = {
	running: "running",
	undoing: "undoing",
	inDoubt: "in doubt",
	completed: "completed",
	failed: "failed",
	cancelled: "cancelled",
};

export const evacuationStateTone: Record<EvacuationState, Tone> = {
	running: "accent",
	completed: "ok",
	incomplete: "warn",
	cancelled: "neutral",
};

export const evacuationItemTone: Record<EvacuationItemState, Tone> = {
	waiting: "neutral",
	moving: "accent",
	moved: "ok",
	blocked: "warn",
	failed: "bad",
	skipped: "neutral",
	cancelled: "neutral",
};

/** What a phase does, as it is said while it runs. */
export const phaseWords: Record<MigrationPhase, { name: string; doing: string; what: string }> = {
	prepareTarget: {
		name: "Prepare",
		doing: "preparing the target",
		what: "The target makes the disks and starts the guest's machine with its CPUs held.",
	},
	copyDisks: {
		name: "Disks",
		doing: "copying disks",
		what: "Local disks are copied while the guest writes; shared disks are not touched.",
	},
	copyMemory: {
		name: "Memory",
		doing: "copying memory",
		what: "Memory is copied in passes; each pass repeats what the guest changed in the one before.",
	},
	switchOver: {
		name: "Switch over",
		doing: "switching over",
		what: "The guest is paused and the last changes are sent. The pause begins here.",
	},
	handOver: {
		name: "Hand over",
		doing: "handing over",
		what: "The source releases the guest for good; the target lets its CPUs go. The pause ends here.",
	},
	retireSource: {
		name: "Retire source",
		doing: "clearing the source",
		what: "What the source no longer needs is removed.",
	},
};

export const sensorWord: Record<SensorKind, string> = {
	memory: "Memory",
	disk: "Disk",
	kernel: "Kernel",
	temperature: "Temperature",
	filesystem: "Filesystem",
	network: "Network",
};

/** A guest action: its button, and what a toast says once it was accepted. */
export const actionWords: Record<GuestAction, { label: string; accepted: string }> = {
	start: { label: "Start", accepted: "is starting" },
	shutDown: { label: "Shut down", accepted: "was asked to shut down" },
	powerOff: { label: "Power off", accepted: "was powered off" },
	pause: { label: "Pause", accepted: "is paused" },
	resume: { label: "Resume", accepted: "runs again" },
	migrate: { label: "Migrate", accepted: "is moving" },
	delete: { label: "Delete", accepted: "was deleted" },
};

/** A cure as a sentence: a capital at the start, a full stop at the end. */
export function sentence(text: string): string {
	return text.charAt(0).toUpperCase() + ended(text).slice(1);
}

const openers = /^(?!\S*-)(the|an?|its?|no|not|this|that|there|nobody|something|only|every|each|too|two|you|your)\b/;

/** What a server or an agent states, as a sentence. It may begin with the name of a guest or host, which stays as it is. */
export function statement(text: string): string {
	return openers.test(text) ? sentence(text) : ended(text);
}

/** With a full stop at its end. */
export function ended(text: string): string {
	return /[.!?…]$/.test(text) ? text : `${text}.`;
}

const sizes: Record<string, number> = { B: 1, KiB, MiB, GiB, TiB };

/** `41 of 64 GiB`, `0.3 of 2.0 GiB`: both in the unit of the whole, so that one look compares them. */
export function amountOf(partBytes: number, wholeBytes: number): string {
	const whole = formatBytes(wholeBytes);
	const part = partBytes / (sizes[whole.split(" ")[1] ?? "B"] ?? 1);
	return `${part < 10 && wholeBytes >= KiB ? part.toFixed(1) : Math.round(part)} of ${whole}`;
}
