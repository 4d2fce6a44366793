import type { BackupReport, Consistency, RecoveryPoint } from "@sterna/shared/backup";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import type { PlannedVolume, RunEntry } from "./run-journal.ts";

/**
 * Everything a run needs from outside, on the guest's host, bound to one guest and one point. Each promise ends within its
 * own deadline and rejects with a `SternaError`.
 */
export interface BackupPorts {
	guest: GuestPort;
	repository: RepositoryPort;
	journal: { append(entries: readonly RunEntry[]): Promise<void> };
	clock: RunClock;
	/** Tells everyone how far the run is; a failure here is not the run's. */
	publish(report: BackupReport): void;
}

/** Verbs of `Hypervisor` for the run's guest and mark. */
export interface GuestPort {
	takeSnapshot(volumes: readonly PlannedVolume[], signal: AbortSignal): Promise<TakenSnapshot>;
	/** False when something of the instant was lost: what was read must not be kept. */
	isSnapshotWhole(): Promise<boolean>;
	/** Nothing open: makes sure of the bitmaps all the same. */
	endSnapshot(volumes: readonly PlannedVolume[], outcome: "committed" | "failed"): Promise<void>;
}

export interface TakenSnapshot {
	takenAt: number;
	consistency: Consistency;
	remark: string | null;
	frozenMs: number | null;
	/** NBD server with one export per volume, named by volume id. */
	socket: string;
	volumes: { volumeId: VolumeId; sizeBytes: number; changes: string | null }[];
}

export interface CopyProgress {
	readBytes: number;
	storedBytes: number;
	slowedBy: string | null;
}

/** One writer session of one repository. While the repository is away a call waits, says so, and gives up in the end. */
export interface RepositoryPort {
	/** What would be read, from what the repository and the driver say now. */
	plan(signal: AbortSignal): Promise<{ parentPointId: PointId | null; volumes: PlannedVolume[] }>;
	openSession(parentPointId: PointId | null, signal: AbortSignal): Promise<void>;
	copyBlocks(request: {
		snapshot: TakenSnapshot;
		volumes: readonly PlannedVolume[];
		onProgress(progress: CopyProgress): void;
		signal: AbortSignal;
	}): Promise<void>;
	/** The point is in the repository when this is fulfilled. Rejected: `abandon` says whether it is. */
	commit(
		point: Omit<RecoveryPoint, "repositoryId" | "volumes">,
		volumes: readonly PlannedVolume[],
		signal: AbortSignal,
	): Promise<RecoveryPoint>;
	/** Makes sure that no point will come of the session. The point that came of it all the same; null when none did or will. */
	abandon(): Promise<RecoveryPoint | null>;
	/** Lets go of the session's workers and connections; what it has stored is left as it is. */
	close(): Promise<void>;
}

export interface RunClock {
	/** Milliseconds since 1970, as the journal and the reports say it. */
	now(): number;
	/** Calls `action` once after the delay. Returns the way to call it off. */
	after(delayMs: number, action: () => void): () => void;
}
