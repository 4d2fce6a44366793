import { z } from "zod";
import { TimestampMs } from "./ids.ts";

/** How bad: `watch` is shown, `degraded` gets no new guests, `failing` is evacuated now. In rising order. */
export const Severity = z.enum(["watch", "degraded", "failing"]);
export type Severity = z.infer<typeof Severity>;

export const HealthState = z.enum(["healthy", "watch", "degraded", "failing", "unknown"]);
export type HealthState = z.infer<typeof HealthState>;

/** What the sensors look at. */
export const SensorKind = z.enum(["memory", "disk", "kernel", "temperature", "filesystem", "network"]);
export type SensorKind = z.infer<typeof SensorKind>;

/** One thing that is wrong with one part, with the readings that say so. */
export const Finding = z.strictObject({
	/** Stable for the same trouble: `memory/mc0.dimm1/uncorrectedErrors`. */
	key: z.string().max(300),
	sensor: SensorKind,
	/** The part as a technician finds it: `DIMM_B1`, `/dev/sda (WDC WD40, serial X)`. */
	component: z.string().max(200),
	signal: z.string().max(100),
	severity: Severity,
	value: z.number(),
	threshold: z.number(),
	unit: z.string().max(40),
	windowMs: z.int().min(0),
	/** The rule as a sentence: `any uncorrected memory error`. */
	rule: z.string().max(300),
	firstSeenAt: TimestampMs,
	lastSeenAt: TimestampMs,
	/** The raw reading, for the technician: file and content, or the tool's words. */
	raw: z.string().max(4000),
	/** True when the part carries guests, volumes or the root filesystem; a failing part that carries nothing is an alert only. */
	relevant: z.boolean(),
});
export type Finding = z.infer<typeof Finding>;

const rank: Record<Severity, number> = { watch: 1, degraded: 2, failing: 3 };

/** The state that a set of findings amounts to: its worst relevant one; an irrelevant failing part counts as `watch`. */
export function healthOf(findings: readonly Finding[]): Exclude<HealthState, "unknown"> {
	const worst = worstFinding(findings.filter((finding) => finding.relevant));
	if (worst) return worst.severity;
	return findings.length > 0 ? "watch" : "healthy";
}

/** The worst finding, the oldest among equals; null without findings. */
export function worstFinding(findings: readonly Finding[]): Finding | null {
	return [...findings].sort((a, b) => rank[b.severity] - rank[a.severity] || a.firstSeenAt - b.firstSeenAt)[0] ?? null;
}
