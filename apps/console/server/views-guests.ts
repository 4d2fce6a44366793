import { Accelerator, GuestSpec, GuestState } from "@sterna/shared/guest";
import { GuestId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { MigrationPhase, MigrationPlan, Refusal } from "@sterna/shared/migration";
import { VolumeMove } from "@sterna/shared/volume";
import { z } from "zod";
import { GuestRef, HostRef } from "./views.ts";

/** What pages about guests get: rows, one guest, and the plans for making and moving it. */

/** A move that touches a guest right now. */
export const MovingView = z.object({
	migrationId: MigrationId,
	target: HostRef,
	phase: MigrationPhase,
	/** Of the whole move, 0 to 1, by bytes. */
	progress: z.number(),
	remainingMs: z.number().nullable(),
});
export type MovingView = z.infer<typeof MovingView>;

/** How a guest is protected right now. `unprotected`: no job takes it and it has no point. */
export const ProtectionState = z.enum(["protected", "late", "unprotected", "failing", "damaged"]);
export type ProtectionState = z.infer<typeof ProtectionState>;

/** How many guests are protected how. */
export const ProtectionSummary = z.object({
	guests: z.int(),
	protected: z.int(),
	late: z.int(),
	unprotected: z.int(),
	failing: z.int(),
	damaged: z.int(),
});
export type ProtectionSummary = z.infer<typeof ProtectionSummary>;

export const GuestProtection = z.object({
	state: ProtectionState,
	sentence: z.string(),
	/** Age of the newest whole point: what would be lost now. Null without one. */
	recoveryPointAgeMs: z.number().nullable(),
});
export type GuestProtection = z.infer<typeof GuestProtection>;

export const GuestRow = z.object({
	id: GuestId,
	name: z.string(),
	state: GuestState,
	/** Why the state is not plain: crashed how, last seen when, in doubt between which hosts. */
	remark: z.string().nullable(),
	host: HostRef,
	hostOnline: z.boolean(),
	/** Why it cannot be forgotten now. Null: its host was revoked and is gone for ever. */
	forgetRefusal: z.object({ message: z.string(), cure: z.string() }).nullable(),
	/** Nobody believes its host again: forgetting it is the only thing that is left to do. */
	hostRevoked: z.boolean(),
	moving: MovingView.nullable(),
	vcpus: z.int(),
	memoryBytes: z.number(),
	memoryResidentBytes: z.number().nullable(),
	cpuUsed: z.number().nullable(),
	diskBytes: z.number(),
	networks: z.array(z.string()),
	accelerator: Accelerator.nullable(),
	/** Running since. */
	startedAt: TimestampMs.nullable(),
	tags: z.array(z.string()),
	/** Null in the first moments of the console's life. */
	protection: GuestProtection.nullable(),
});
export type GuestRow = z.infer<typeof GuestRow>;

export const GuestView = GuestRow.extend({
	spec: GuestSpec,
	epoch: z.int(),
	machine: z.string().nullable(),
	createdAt: TimestampMs,
	/** Kind of the pool of each volume on the guest's host, in the spec's order; null while the host is unknown. */
	poolKinds: z.array(z.enum(["local", "shared"]).nullable()),
	/** A disk on its way to another pool, as its host says now; null while there is none, or nobody hears the host. */
	volumeMove: VolumeMove.nullable(),
});
export type GuestView = z.infer<typeof GuestView>;

/** One host as an answer to "where could it go": a place with its score and reasons, or what refuses. */
export const PlacementCandidate = z.object({
	host: HostRef,
	chosen: z.boolean(),
	score: z.number().nullable(),
	/** Sentences for or against this host. */
	reasons: z.array(z.string()),
	refusals: z.array(Refusal),
});
export type PlacementCandidate = z.infer<typeof PlacementCandidate>;

export const CreatePlan = z.object({
	candidates: z.array(PlacementCandidate),
	/** What any online host offers, by name: the choices of the form. */
	images: z.array(z.object({ name: z.string(), sizeBytes: z.number(), hosts: z.int() })),
	pools: z.array(z.object({ name: z.string(), kind: z.enum(["local", "shared"]), hosts: z.int() })),
	networks: z.array(z.object({ name: z.string(), hosts: z.int() })),
	steps: z.array(z.string()),
	undo: z.string(),
});
export type CreatePlan = z.infer<typeof CreatePlan>;

/** What became of one object of a bulk action. */
export const BulkResult = z.object({
	guestId: z.string(),
	name: z.string().nullable(),
	ok: z.boolean(),
	/** What was done, or why not. */
	message: z.string(),
	cure: z.string().nullable(),
});
export type BulkResult = z.infer<typeof BulkResult>;

/** Other hosts as targets, those that fit best first: the agent's plan, or the refusals that stand against it. */
export const MigrationPlanView = z.object({
	guest: GuestRef,
	source: HostRef,
	candidates: z.array(
		z.object({
			target: HostRef,
			chosen: z.boolean(),
			plan: MigrationPlan.nullable(),
			refusals: z.array(Refusal),
		}),
	),
	/** How many more hosts there are that were not asked: find one by its name. */
	notAsked: z.int(),
});
export type MigrationPlanView = z.infer<typeof MigrationPlanView>;

/** First frame to send on `/serial`; good once, for 30 s, for this user, session and guest. */
export const SerialTicket = z.object({ ticket: z.string(), path: z.string(), expiresAt: TimestampMs });
