import { BackupOptions, BackupPhase, Consistency, ReadReason, RecoveryPoint } from "@sterna/shared/backup";
import { WireError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, HostId, PointId, RepositoryId, TimestampMs, VolumeId } from "@sterna/shared/ids";
import { z } from "zod";

/** What a run is: everything that is needed to settle it after a restart of the agent, but for the repository's key. */
export const RunFacts = z.strictObject({
	pointId: PointId,
	guestId: GuestId,
	repositoryId: RepositoryId,
	hostId: HostId,
	/** The guest as it was when the run began; restored as such. */
	spec: GuestSpec,
	options: BackupOptions,
	startedAt: TimestampMs,
});
export type RunFacts = z.infer<typeof RunFacts>;

/** One volume of a run, as it was decided before anything was done. */
export const PlannedVolume = z.strictObject({
	volumeId: VolumeId,
	sizeBytes: z.int().min(0),
	read: z.enum(["changes", "whole"]),
	reason: ReadReason,
	readBytes: z.int().min(0),
	since: z.string().max(31).nullable(),
	inherit: z.boolean(),
	/** Bitmaps of this chain's points that are gone: removed when the point is there. */
	stale: z.array(z.string().max(31)).default([]),
});
export type PlannedVolume = z.infer<typeof PlannedVolume>;

/**
 * One line of a run's journal, durable before the next thing is done. The journal says how far a run got and what is owed;
 * whether the point is there is said by the repository alone.
 */
export const RunEntry = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("opened"), at: TimestampMs, run: RunFacts }),
	z.strictObject({
		type: z.literal("planned"),
		at: TimestampMs,
		parentPointId: PointId.nullable(),
		volumes: z.array(PlannedVolume).max(16),
	}),
	z.strictObject({ type: z.literal("phaseBegan"), at: TimestampMs, phase: BackupPhase }),
	z.strictObject({ type: z.literal("phaseDone"), at: TimestampMs, phase: BackupPhase }),
	z.strictObject({
		type: z.literal("taken"),
		at: TimestampMs,
		consistency: Consistency,
		remark: z.string().max(500).nullable(),
		frozenMs: z.number().min(0).nullable(),
	}),
	/** The repository has the point. */
	z.strictObject({ type: z.literal("committed"), at: TimestampMs, point: RecoveryPoint }),
	z.strictObject({ type: z.literal("undoing"), at: TimestampMs, cancelled: z.boolean(), error: WireError }),
	z.strictObject({ type: z.literal("undone"), at: TimestampMs, phase: BackupPhase }),
	z.strictObject({ type: z.literal("ended"), at: TimestampMs, state: z.enum(["completed", "failed", "cancelled"]) }),
	/** Something a person should know: a retry, a wait, a restart of the agent. */
	z.strictObject({ type: z.literal("note"), at: TimestampMs, text: z.string().max(500) }),
]);
export type RunEntry = z.infer<typeof RunEntry>;

export function hasBegun(journal: readonly RunEntry[], phase: BackupPhase): boolean {
	return journal.some((entry) => entry.type === "phaseBegan" && entry.phase === phase);
}

export function isUndone(journal: readonly RunEntry[], phase: BackupPhase): boolean {
	return journal.some((entry) => entry.type === "undone" && entry.phase === phase);
}

export function committedPoint(journal: readonly RunEntry[]): RecoveryPoint | null {
	const entry = journal.find((one) => one.type === "committed");
	return entry?.type === "committed" ? entry.point : null;
}

export function hasEnded(journal: readonly RunEntry[]): boolean {
	return journal.some((entry) => entry.type === "ended");
}

/** A session was begun, no point came of it, and the repository has not been told that none will. */
export function owesAbandon(journal: readonly RunEntry[]): boolean {
	const undoing = journal.some((entry) => entry.type === "undoing");
	return undoing && !committedPoint(journal) && hasBegun(journal, "openSession") && !isUndone(journal, "openSession");
}
