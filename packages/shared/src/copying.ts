import type { GuestId, VolumeId } from "./ids.ts";

/** What the driver that copies a guest and the migration that steers it say to each other. */

export interface CopyDisks {
	guestId: GuestId;
	/** Unix socket that leads to the target's NBD server, one per volume. */
	disks: { volumeId: VolumeId; socket: string }[];
	onProgress(progress: DiskProgress): void;
}

export interface DiskProgress {
	totalBytes: number;
	transferredBytes: number;
}

export interface CopyMemory {
	guestId: GuestId;
	/** Unix socket that leads to the target's memory socket. */
	socket: string;
	/** The switchover waits until the remaining memory fits into this pause. */
	downtimeLimitMs: number;
	onProgress(progress: MemoryProgress): Steering | undefined;
}

export interface MemoryProgress {
	totalBytes: number;
	transferredBytes: number;
	remainingBytes: number;
	passes: number;
	dirtyBytesPerSecond: number;
	bytesPerSecond: number;
	/** QEMU's own estimate of the pause if it switched over now; null while unknown. */
	expectedDowntimeMs: number | null;
}

/** What the convergence policy answers to progress. */
export type Steering = { downtimeLimitMs: number } | { throttle: true } | { abandon: string };
