import { type Finding, type SensorKind, Severity } from "@sterna/shared/health";
import { printable } from "@sterna/shared/names";
import type { Change, Increases } from "./counters.ts";

/** One part of the machine that is watched. `read` touches the machine, what it returns is judged without it. */
export interface Sensor {
	readonly kind: SensorKind;
	read(at: number): Promise<Reading>;
}

export interface Reading {
	/** Counters and events to remember; they are recorded before `judge` looks at them. */
	changes: Change[];
	/** Pure: what these readings and the remembered increases amount to. */
	judge(increases: Increases): Judgement;
}

export interface Judgement {
	symptoms: Symptom[];
	/** Keys about which these readings can say nothing: neither bad nor clean. */
	unseen: { keyPrefix: string; reason: string }[];
}

/** A rule that the readings break now. It becomes a finding when the damping lets it. */
export type Symptom = Omit<Finding, "firstSeenAt" | "lastSeenAt" | "sensor"> & {
	/** True for what is believed at first sight: there may be no time for a second. */
	oneShot: boolean;
};

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

/** Higher is worse. */
export function severityRank(severity: Severity): number {
	return Severity.options.indexOf(severity);
}

/** A symptom whose texts are safe to show, store and send, whatever the hardware wrote into them. */
export function symptom(parts: {
	key: string;
	component: string;
	signal: string;
	severity: Severity;
	value: number;
	threshold: number;
	unit: string;
	rule: string;
	raw: string;
	windowMs?: number;
	relevant?: boolean;
	oneShot?: boolean;
}): Symptom {
	return {
		key: oneLine(parts.key, 300),
		component: oneLine(parts.component, 200),
		signal: oneLine(parts.signal, 100),
		severity: parts.severity,
		value: Number.isFinite(parts.value) ? Math.round(parts.value * 100) / 100 : 0,
		threshold: parts.threshold,
		unit: parts.unit,
		windowMs: Math.max(0, Math.round(parts.windowMs ?? 0)),
		rule: oneLine(parts.rule, 300),
		raw: printable(parts.raw, 4000),
		relevant: parts.relevant ?? true,
		oneShot: parts.oneShot ?? false,
	};
}

export function oneLine(text: string, maxLength = 200): string {
	return printable(text.replace(/\s+/g, " ").trim(), maxLength);
}

/** A name from the hardware as one part of a key. */
export function keyPart(text: string): string {
	return text.replace(/[^\w.:-]+/g, "_").slice(0, 80) || "_";
}

/** A whole number as the kernel writes it; null for anything else. */
export function wholeNumber(text: string | null): number | null {
	if (text === null || !/^\s*-?\d{1,19}\s*$/.test(text)) return null;
	const value = Number(text);
	return Number.isSafeInteger(value) ? value : null;
}

/** A counter: a whole number that is not negative. */
export function count(text: string | null): number | null {
	const value = wholeNumber(text);
	return value !== null && value >= 0 ? value : null;
}
