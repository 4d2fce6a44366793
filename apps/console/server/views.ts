import { Accelerator, GuestSpec, GuestState } from "@sterna/shared/guest";
import { Finding, HealthState, Severity } from "@sterna/shared/health";
import { AcceleratorProbe, HostConnection, HostMetrics, HostMode, Image } from "@sterna/shared/host";
import { EvacuationId, GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { MigrationPhase, MigrationPlan, MigrationReport, MigrationState, Refusal } from "@sterna/shared/migration";
import { HostNetwork } from "@sterna/shared/network";
import { StoragePool } from "@sterna/shared/volume";
import { z } from "zod";

/**
 * What pages get. Plain JSON: times are milliseconds since 1970, shares are 0 to 1, sizes are bytes. Every name that a
 * page shows travels with its id, so that no page needs a second question to say who is meant.
 * More than 400 lines, because it is one list of shapes in the order of the pages; backups have theirs in `views-backups.ts`.
 */

export const Role = z.enum(["viewer", "operator", "admin"]);
export type Role = z.infer<typeof Role>;

export const HostRef = z.object({ id: HostId, name: z.string() });
export type HostRef = z.infer<typeof HostRef>;
export const GuestRef = z.object({ id: GuestId, name: z.string() });
export type GuestRef = z.infer<typeof GuestRef>;

/** Input of every list, beside its `sort`: one page of rows. */
export const paging = {
	page: z.int().min(1).max(100_000).default(1),
	pageSize: z.int().min(1).max(200).default(50),
	direction: z.enum(["ascending", "descending"]).default("ascending"),
	/** Part of a name; case does not matter. */
	filter: z.string().max(100).default(""),
};

/** One page of rows and how many there are in all. */
export const pageOf = <Row extends z.ZodType>(row: Row) => z.object({ rows: z.array(row), total: z.int() });

// ── session ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const Me = z.object({ userId: z.string(), name: z.string(), email: z.string(), role: Role });
export type Me = z.infer<typeof Me>;

// ── hosts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How long it would take to empty a host, or what stands in the way. */
export const EmptyIn = z.discriminatedUnion("kind", [
	z.object({ kind: z.literal("empty") }),
	z.object({ kind: z.literal("estimate"), durationMs: z.number() }),
	z.object({ kind: z.literal("evacuating"), evacuationId: EvacuationId, remainingMs: z.number().nullable() }),
	z.object({ kind: z.literal("blocked"), reason: z.string(), guest: GuestRef.nullable() }),
	z.object({ kind: z.literal("unknown"), reason: z.string() }),
]);
export type EmptyIn = z.infer<typeof EmptyIn>;

export const HostRow = z.object({
	id: HostId,
	name: z.string(),
	connection: HostConnection,
	/** Set when the console closed its door to the host: two servers used one identity. */
	quarantinedBecause: z.string().nullable(),
	mode: HostMode,
	health: HealthState,
	/** The worst finding as one sentence; null when healthy. */
	healthSentence: z.string().nullable(),
	cpuUsed: z.number().nullable(),
	cpuThreads: z.int().nullable(),
	/** What is in use now, and what guests have been promised. */
	memoryTotalBytes: z.number().nullable(),
	memoryUsedBytes: z.number().nullable(),
	memoryGrantedBytes: z.number(),
	memoryReserveBytes: z.number(),
	guestsRunning: z.int(),
	guestsTotal: z.int(),
	emptyIn: EmptyIn,
	accelerator: Accelerator.nullable(),
	simulated: z.boolean(),
	address: z.string().nullable(),
	agentVersion: z.string().nullable(),
	qemuVersion: z.string().nullable(),
	lastHeardAt: TimestampMs.nullable(),
});
export type HostRow = z.infer<typeof HostRow>;

/** One finding, open or cleared, with what was done about it. */
export const FindingView = Finding.extend({
	id: z.string(),
	host: HostRef,
	state: z.enum(["open", "cleared", "released"]),
	clearedAt: TimestampMs.nullable(),
	releasedAt: TimestampMs.nullable(),
	releasedBy: z.string().nullable(),
	/** What the health policy did: `no new guests`, `evacuated`, `alert only: …`. */
	action: z.string().nullable(),
});
export type FindingView = z.infer<typeof FindingView>;

export const HostView = HostRow.extend({
	joinedAt: TimestampMs,
	certificateExpiresAt: TimestampMs.nullable(),
	operatingSystem: z.string().nullable(),
	kernel: z.string().nullable(),
	cpuModel: z.string().nullable(),
	probe: AcceleratorProbe.nullable(),
	pools: z.array(StoragePool),
	networks: z.array(HostNetwork),
	images: z.array(Image),
	findings: z.array(FindingView),
	evacuationId: EvacuationId.nullable(),
});
export type HostView = z.infer<typeof HostView>;

/** One line of charts for hosts; nulls where the kernel has no such reading. */
export const HostMetricsView = z.object({ samples: z.array(HostMetrics) });

export const JoinTokenView = z.object({
	/** The line to paste where the agent is installed: `sterna-agent join sterna1:…`. */
	joinLine: z.string(),
	/** The line to paste on a bare server: fetches the agent from this console (key pinned), installs it and joins. */
	installLine: z.string(),
	expiresAt: TimestampMs,
});
export type JoinTokenView = z.infer<typeof JoinTokenView>;

// ── guests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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

/** Every other host as a target: the agent's plan, or the refusals that stand against it. */
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
});
export type MigrationPlanView = z.infer<typeof MigrationPlanView>;

/** First frame to send on `/serial`; good once, for 30 s, for this user, session and guest. */
export const SerialTicket = z.object({ ticket: z.string(), path: z.string(), expiresAt: TimestampMs });

// ── migrations and evacuations ─────────────────────────────────────────────────────────────────────────────────────

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

/** What maintenance would do: who leaves in which order to where, and who cannot. */
export const MaintenancePlan = z.object({
	host: HostRef,
	moves: z.array(z.object({ guest: GuestRef, target: HostRef, predictedDurationMs: z.number() })),
	blocked: z.array(z.object({ guest: GuestRef, refusal: Refusal })),
	/** Guests that are not running stay on the host. */
	staying: z.array(GuestRef),
	predictedDurationMs: z.number(),
	undo: z.string(),
});
export type MaintenancePlan = z.infer<typeof MaintenancePlan>;

// ── events ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const EventObject = z.object({
	type: z.enum(["host", "guest", "migration", "evacuation", "user", "repository", "job", "point", "restore"]),
	id: z.string(),
	name: z.string(),
});
export type EventObject = z.infer<typeof EventObject>;

export const EventView = z.object({
	/** Place in the log; never reused. */
	sequence: z.int(),
	at: TimestampMs,
	/** noun.past: `guest.started`, `host.quarantined`. */
	kind: z.string(),
	actor: z.string(),
	objects: z.array(EventObject),
	sentence: z.string(),
	why: z.string().nullable(),
	/** The readings, the rule, the alternatives that lost. */
	evidence: z.json().nullable(),
	severity: Severity.nullable(),
	hash: z.string(),
});
export type EventView = z.infer<typeof EventView>;

// ── overview ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A page of the console that a sentence leads to. */
export const Link = z.object({ label: z.string(), href: z.string() });
export type Link = z.infer<typeof Link>;

export const Headline = z.object({
	tone: z.enum(["calm", "watch", "degraded", "failing"]),
	sentence: z.string(),
	lead: z.string().nullable(),
	link: Link.nullable(),
});
export type Headline = z.infer<typeof Headline>;

export const GuestChip = z.object({
	id: GuestId,
	name: z.string(),
	state: GuestState,
	moving: z.enum(["out", "in"]).nullable(),
	peerHostName: z.string().nullable(),
});
export type GuestChip = z.infer<typeof GuestChip>;

/** Something under way, with time left. */
export const Task = z.object({
	id: z.string(),
	kind: z.enum(["migration", "evacuation", "backup", "restore", "upkeep"]),
	title: z.string(),
	/** `3 of 4`, `12 s left`. */
	amount: z.string(),
	detail: z.string(),
	progress: z.number(),
	remainingMs: z.number().nullable(),
	href: z.string(),
});
export type Task = z.infer<typeof Task>;

/** Something that only a person can decide. */
export const Decision = z.object({
	id: z.string(),
	title: z.string(),
	detail: z.string(),
	link: Link,
});
export type Decision = z.infer<typeof Decision>;

export const Overview = z.object({
	headline: Headline,
	figures: z.object({
		hosts: z.object({ total: z.int(), online: z.int(), healthy: z.int(), failing: z.int(), degraded: z.int() }),
		guests: z.object({ total: z.int(), running: z.int() }),
		/** Memory used of the rest when the largest host is lost; null with fewer than two hosts. */
		ifOneHostIsLost: z.object({ memoryShare: z.number(), fits: z.boolean() }).nullable(),
		migrationsRunning: z.int(),
		/** Guests by how they are protected now. */
		protection: ProtectionSummary,
	}),
	/** The worst first, at most 24. */
	hosts: z.array(HostRow.extend({ guests: z.array(GuestChip), moreGuests: z.int() })),
	moreHosts: z.int(),
	tasks: z.array(Task),
	decisions: z.array(Decision),
	events: z.array(EventView),
	demo: z.boolean(),
});
export type Overview = z.infer<typeof Overview>;

export const SearchHit = z.object({
	type: z.enum(["host", "guest", "migration", "job", "repository", "page"]),
	id: z.string(),
	title: z.string(),
	detail: z.string(),
	href: z.string(),
});
export type SearchHit = z.infer<typeof SearchHit>;
