import { MiB } from "@sterna/shared/units";

/**
 * How fast a run reads. Two things hold it back: the limit that a person gave (a token bucket of one second), and the
 * guest: when its writes take more than twice as long as they did before the run, the rate is halved, again and again
 * with every look; when they are well again it grows by a quarter. Pure: time and measurements come in.
 */
export interface Pace {
	readonly limitBytesPerSecond: number | null;
	/** What the guest's latency allows; null while it allows everything. */
	readonly allowedBytesPerSecond: number | null;
	/** How long a write of the guest took before this run; null until that is known. */
	readonly baselineMs: number | null;
	readonly latencyMs: number | null;
	/** Bytes that may be read at `atMs`; negative when they were read ahead of their time. */
	readonly tokens: number;
	readonly atMs: number;
	readonly readBytes: number;
	readonly lookedAtMs: number;
	readonly readBytesAtLook: number;
}

/** What the guest's disks did between two looks. */
export interface WriteLatency {
	writes: number;
	timeMs: number;
}

const slowRatio = 2;
const wellRatio = 1.5;
/** Fewer writes than these say nothing of the disk. */
const tellingWrites = 4;
/** Faster than this no write is slow, whatever it was before: noise of an idle disk. */
const quickMs = 1;
const slowestBytesPerSecond = 4 * MiB;
const growth = 1.25;
/** From here on the guest's latency holds nothing back any more. */
const fastBytesPerSecond = 2048 * MiB;

export function beginPace(options: { limitBytesPerSecond: number | null; nowMs: number; before: WriteLatency }): Pace {
	const { limitBytesPerSecond, nowMs, before } = options;
	return {
		limitBytesPerSecond,
		allowedBytesPerSecond: null,
		baselineMs: meanMs(before),
		latencyMs: null,
		tokens: 0,
		atMs: nowMs,
		readBytes: 0,
		lookedAtMs: nowMs,
		readBytesAtLook: 0,
	};
}

/** Takes `bytes` from the bucket; they may be read after `waitMs`. */
export function takeTurn(pace: Pace, bytes: number, nowMs: number): { next: Pace; waitMs: number } {
	const rate = rateOf(pace);
	const readBytes = pace.readBytes + bytes;
	if (rate === null) return { next: { ...pace, tokens: 0, atMs: nowMs, readBytes }, waitMs: 0 };
	const elapsedMs = Math.max(0, nowMs - pace.atMs);
	const filled = Math.min(rate, pace.tokens + (rate * elapsedMs) / 1000);
	const tokens = filled - bytes;
	const waitMs = tokens >= 0 ? 0 : (-tokens / rate) * 1000;
	return { next: { ...pace, tokens, atMs: nowMs, readBytes }, waitMs };
}

/** Takes in how the guest fared since the last look. */
export function lookAtGuest(pace: Pace, since: WriteLatency, nowMs: number): Pace {
	const elapsedMs = nowMs - pace.lookedAtMs;
	if (elapsedMs <= 0) return pace;
	const readNow = ((pace.readBytes - pace.readBytesAtLook) * 1000) / elapsedMs;
	const looked = { ...pace, lookedAtMs: nowMs, readBytesAtLook: pace.readBytes };
	const latencyMs = meanMs(since);
	if (latencyMs === null) return { ...looked, latencyMs: null, allowedBytesPerSecond: grow(pace) };
	// Without a figure from before, the first one that is seen is the best there is.
	const baselineMs = pace.baselineMs ?? latencyMs;
	const ratio = latencyMs / Math.max(baselineMs, quickMs);
	if (ratio > slowRatio) {
		const from = Math.min(
			pace.allowedBytesPerSecond ?? Number.POSITIVE_INFINITY,
			Math.max(readNow, slowestBytesPerSecond),
		);
		const allowedBytesPerSecond = Math.max(slowestBytesPerSecond, from / 2);
		return { ...looked, baselineMs, latencyMs, allowedBytesPerSecond };
	}
	const allowedBytesPerSecond = ratio < wellRatio ? grow(pace) : pace.allowedBytesPerSecond;
	return { ...looked, baselineMs, latencyMs, allowedBytesPerSecond };
}

/** Why it does not go faster, as a sentence; null at full speed. */
export function slowedBy(pace: Pace): string | null {
	const { allowedBytesPerSecond: allowed, limitBytesPerSecond: limit, baselineMs, latencyMs } = pace;
	if (allowed !== null && (limit === null || allowed < limit)) {
		const now = latencyMs === null ? "" : `: they take ${tell(latencyMs)}, before the run ${tell(baselineMs ?? 0)}`;
		return `the guest's writes became slower${now}`;
	}
	return limit === null ? null : `the job allows ${Math.round(limit / MiB)} MiB/s`;
}

function rateOf({ limitBytesPerSecond, allowedBytesPerSecond }: Pace): number | null {
	if (limitBytesPerSecond === null) return allowedBytesPerSecond;
	return Math.min(limitBytesPerSecond, allowedBytesPerSecond ?? limitBytesPerSecond);
}

function grow({ allowedBytesPerSecond }: Pace): number | null {
	if (allowedBytesPerSecond === null) return null;
	const grown = allowedBytesPerSecond * growth;
	return grown >= fastBytesPerSecond ? null : grown;
}

function meanMs({ writes, timeMs }: WriteLatency): number | null {
	return writes < tellingWrites ? null : timeMs / writes;
}

function tell(latencyMs: number): string {
	return `${latencyMs < 10 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`;
}
