import type { MigrationOptions } from "@sterna/shared/migration";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import type { MemoryProgress, Steering } from "./ports.ts";

/**
 * What to do about a guest that writes faster than the link copies. The pause is kept short as long as the guest allows:
 *
 *   30 ms ──two passes that do not shrink──▶ 100 ms ──▶ 300 ms ──▶ the agreed maximum ──▶ throttle the guest ──▶ abandon
 *
 * QEMU switches over as soon as its estimate is below the limit, so the limit starts low: a generous one is always used up.
 */
export interface Convergence {
	/** Pauses still to be tried, in rising order; the first is the one in force. */
	limitsMs: readonly number[];
	throttled: boolean;
	mayThrottle: boolean;
	/** The pass that was looked at last and what remained when it began; null before the first. */
	pass: { number: number; remainingBytes: number } | null;
	/** Passes in a row that did not shrink. */
	stuckPasses: number;
}

/** A pass shrinks when it leaves less than this share of what the one before left. */
const shrinking = 0.9;
const patiencePasses = 2;
/** QEMU raises its throttle in steps, one per two passes or so: it needs time to bite. */
const throttledPatiencePasses = 12;

export function beginConvergence({ maxDowntimeMs, autoConverge }: MigrationOptions): Convergence {
	const limitsMs = [...new Set([30, 100, 300, maxDowntimeMs])].filter((limitMs) => limitMs <= maxDowntimeMs);
	return {
		limitsMs: limitsMs.sort((a, b) => a - b),
		throttled: false,
		mayThrottle: autoConverge,
		pass: null,
		stuckPasses: 0,
	};
}

/** Milliseconds of pause that are allowed now. */
export function downtimeLimitMs({ limitsMs }: Convergence): number {
	return limitsMs[0] ?? 30;
}

/** Looks at one sample of progress; answers only at the beginning of a pass. */
export function steer(state: Convergence, progress: MemoryProgress): { next: Convergence; steering?: Steering } {
	const { passes, remainingBytes } = progress;
	if (state.pass && passes <= state.pass.number) return { next: state };
	const shrank = !state.pass || remainingBytes < state.pass.remainingBytes * shrinking;
	const next = { ...state, pass: { number: passes, remainingBytes }, stuckPasses: shrank ? 0 : state.stuckPasses + 1 };
	if (next.stuckPasses < (state.throttled ? throttledPatiencePasses : patiencePasses)) return { next };

	const [, ...rest] = state.limitsMs;
	const raised = rest[0];
	if (raised !== undefined) {
		return { next: { ...next, limitsMs: rest, stuckPasses: 0 }, steering: { downtimeLimitMs: raised } };
	}
	if (state.mayThrottle && !state.throttled) {
		return { next: { ...next, throttled: true, stuckPasses: 0 }, steering: { throttle: true } };
	}
	return { next, steering: { abandon: hopeless(state, progress) } };
}

/** What a steering does, for the journal. */
export function describeSteering(steering: Steering): string {
	if ("downtimeLimitMs" in steering) {
		return `memory does not converge: a pause of up to ${formatDuration(steering.downtimeLimitMs)} is allowed now`;
	}
	return "throttle" in steering ? "memory does not converge: the guest's CPUs are slowed down" : steering.abandon;
}

function hopeless(state: Convergence, { dirtyBytesPerSecond, bytesPerSecond }: MemoryProgress): string {
	const slowed = state.throttled ? ", slowed down," : "";
	return (
		`the guest${slowed} writes ${formatBytes(dirtyBytesPerSecond)}/s and the link carries ${formatBytes(bytesPerSecond)}/s: ` +
		`its memory does not fit into a pause of ${formatDuration(downtimeLimitMs(state))}`
	);
}
