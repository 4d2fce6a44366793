import { EvacuationId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { MigrationPhase, MigrationReport, MigrationState, Refusal } from "@sterna/shared/migration";
import { z } from "zod";
import { GuestRef, HostRef } from "./views.ts";

/** What pages about moves get: of one guest, and of all guests of a host. */

export const MigrationRow = z.object({
	id: MigrationId,
	guest: GuestRef,
	source: HostRef,
	target: HostRef,
	state: MigrationState,
	phase: MigrationPhase,
	progress: z.number(),
	remainingMs: z.number().nullable(),
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	measuredDowntimeMs: z.number().nullable(),
	/** Who or what asked: a person's name, `evacuation of rack1-02`. */
	requestedBy: z.string(),
	evacuationId: EvacuationId.nullable(),
	errorMessage: z.string().nullable(),
});
export type MigrationRow = z.infer<typeof MigrationRow>;

export const MigrationView = MigrationRow.extend({
	/** The source's last report; null before the source has answered. */
	report: MigrationReport.nullable(),
	/** Why it cannot be cancelled now; null when it can. */
	cancelRefusal: z.string().nullable(),
	maxDowntimeMs: z.number(),
	autoConverge: z.boolean(),
});
export type MigrationView = z.infer<typeof MigrationView>;

export const EvacuationState = z.enum(["running", "cancelled", "completed", "incomplete"]);
export type EvacuationState = z.infer<typeof EvacuationState>;

/** `skipped`: it does not run, or left by itself. */
export const EvacuationItemState = z.enum(["waiting", "moving", "moved", "blocked", "failed", "skipped", "cancelled"]);
export type EvacuationItemState = z.infer<typeof EvacuationItemState>;

export const EvacuationItem = z.object({
	guest: GuestRef,
	position: z.int(),
	state: EvacuationItemState,
	target: HostRef.nullable(),
	migrationId: MigrationId.nullable(),
	attempts: z.int(),
	/** Why it cannot move, and the cure. */
	refusal: Refusal.nullable(),
	measuredDowntimeMs: z.number().nullable(),
	progress: z.number(),
});

export const EvacuationRow = z.object({
	id: EvacuationId,
	host: HostRef,
	state: EvacuationState,
	/** `rule “any uncorrected memory error”: 2 on DIMM_B1`, or `maintenance asked by …`. */
	reason: z.string(),
	requestedBy: z.string(),
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	moved: z.int(),
	total: z.int(),
	remainingMs: z.number().nullable(),
});
export type EvacuationRow = z.infer<typeof EvacuationRow>;

export const EvacuationView = EvacuationRow.extend({ items: z.array(EvacuationItem) });
export type EvacuationView = z.infer<typeof EvacuationView>;
