import { z } from "zod";
import { ErrorCode } from "./errors.ts";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "./ids.ts";

/**
 * The phases of one move, in order. `handOver` is the commit point: before it every failure leaves the guest running on
 * the source, after it the guest belongs to the target whatever happens.
 */
export const MigrationPhase = z.enum([
	"prepareTarget",
	"copyDisks",
	"copyMemory",
	"switchOver",
	"handOver",
	"retireSource",
]);
export type MigrationPhase = z.infer<typeof MigrationPhase>;

/**
 * `inDoubt`: the source has released the guest and cannot hear the target; nobody resumes it until one side is heard.
 * `undoing`: a failure or a cancel before the commit point is being unwound.
 */
export const MigrationState = z.enum(["running", "undoing", "inDoubt", "completed", "failed", "cancelled"]);
export type MigrationState = z.infer<typeof MigrationState>;

export const endedMigrationStates: readonly MigrationState[] = ["completed", "failed", "cancelled"];

/** What a migration does to guests that write faster than the link copies. */
export const MigrationOptions = z.strictObject({
	/** Pause the guest at most this long when the fast limit of 30 ms is not reached; raised in steps up to here. */
	maxDowntimeMs: z.int().min(30).max(30_000).default(1000),
	/** Slow the guest's CPUs down when it does not converge; otherwise the migration is abandoned. */
	autoConverge: z.boolean().default(true),
});
export type MigrationOptions = z.infer<typeof MigrationOptions>;

/** How far one migration is. Published by the source's agent about twice a second; `generation` rises by one each time. */
export const MigrationReport = z.strictObject({
	migrationId: MigrationId,
	guestId: GuestId,
	epoch: Epoch,
	sourceHostId: HostId,
	targetHostId: HostId,
	generation: z.int().min(0),
	state: MigrationState,
	phase: MigrationPhase,
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	phases: z.array(z.strictObject({ phase: MigrationPhase, startedAt: TimestampMs, endedAt: TimestampMs.nullable() })),
	disk: z.strictObject({ totalBytes: z.int().min(0), transferredBytes: z.int().min(0) }).nullable(),
	memory: z
		.strictObject({
			totalBytes: z.int().min(0),
			transferredBytes: z.int().min(0),
			remainingBytes: z.int().min(0),
			passes: z.int().min(0),
			/** What the guest rewrites, as QEMU measured it. */
			dirtyBytesPerSecond: z.number().min(0),
			bytesPerSecond: z.number().min(0),
		})
		.nullable(),
	/** The pause as it would be if the switchover began now. */
	predictedDowntimeMs: z.number().min(0).nullable(),
	/** From the STOP of the source to the RESUME on the target, by the source's clock. */
	measuredDowntimeMs: z.number().min(0).nullable(),
	/** Why it failed or was undone; the cure if there is one. */
	error: z
		.strictObject({ code: ErrorCode, message: z.string().max(4000), cure: z.string().max(2000).optional() })
		.nullable(),
	/** What happened when, in sentences: the journal as a person reads it. */
	journal: z.array(z.strictObject({ at: TimestampMs, text: z.string().max(500) })).max(200),
});
export type MigrationReport = z.infer<typeof MigrationReport>;

/** One reason why a guest cannot move to a host, and what would cure it. */
export const Refusal = z.strictObject({
	code: ErrorCode,
	message: z.string().max(1000),
	cure: z.string().max(1000).optional(),
});
export type Refusal = z.infer<typeof Refusal>;

/** What a move would do, before it is done. */
export const MigrationPlan = z.strictObject({
	guestId: GuestId,
	sourceHostId: HostId,
	targetHostId: HostId,
	refusals: z.array(Refusal).max(50),
	/** Sentences of what will happen, in order. */
	steps: z.array(z.string().max(300)).max(20),
	memoryBytes: z.int().min(0),
	diskBytes: z.int().min(0),
	predictedDurationMs: z.number().min(0).nullable(),
	predictedDowntimeMs: z.number().min(0).nullable(),
	undo: z.string().max(500),
});
export type MigrationPlan = z.infer<typeof MigrationPlan>;
