import type { MemoryProgress } from "./ports.ts";

/** What a link between two agents carries when nothing was measured yet: 1 Gbit/s less the overhead of TLS and headers. */
export const defaultLinkBytesPerSecond = 110_000_000;

/** What preparing, switching over and retiring take beside the copying. */
const fixedMs = 1_500;
/**
 * The shortest pause worth promising: device state, two durable records, a round trip. Medians of `./sterna bench soak`
 * on an idle machine with software emulation lie between 70 and 90 ms; KVM was not measured and is not promised less.
 */
const leastDowntimeMs = 80;

export interface MoveSize {
	memoryBytes: number;
	/** Only what is allocated in volumes that the two hosts do not share. */
	diskBytes: number;
	/** What the guest rewrites; 0 when unknown. */
	dirtyBytesPerSecond: number;
	linkBytesPerSecond: number;
}

export interface Estimate {
	durationMs: number;
	/** Null when the guest writes as fast as the link copies: it will be slowed down or the move abandoned. */
	downtimeMs: number | null;
}

/**
 * How long a move takes and how long the guest pauses. Memory is copied again and again, each pass as long as what was
 * written during the one before: a geometric series in dirty rate / link speed.
 */
export function estimateMove({ memoryBytes, diskBytes, dirtyBytesPerSecond, linkBytesPerSecond }: MoveSize): Estimate {
	const ratio = dirtyBytesPerSecond / linkBytesPerSecond;
	const diskMs = (diskBytes / linkBytesPerSecond) * 1000;
	const onePassMs = (memoryBytes / linkBytesPerSecond) * 1000;
	if (ratio >= 0.95) return { durationMs: Math.round(fixedMs + diskMs + onePassMs * 20), downtimeMs: null };
	return {
		durationMs: Math.round(fixedMs + diskMs + onePassMs / (1 - ratio)),
		downtimeMs: Math.round(leastDowntimeMs + 30 * ratio),
	};
}

/** What is left of a memory copy, from its progress; null while it does not get nearer to its end. */
export function remainingMs({ remainingBytes, dirtyBytesPerSecond, bytesPerSecond }: MemoryProgress): number | null {
	const gained = bytesPerSecond - dirtyBytesPerSecond;
	return gained > 0 ? Math.round((remainingBytes / gained) * 1000) : null;
}
