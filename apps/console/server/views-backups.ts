import { BackupJobSpec, Retention } from "@sterna/backup/job";
import {
	BackupPhase,
	BackupPlan,
	BackupReport,
	Consistency,
	DrillCheck,
	PointVolume,
	ReadReason,
	RepositoryDamage,
	RepositoryUsage,
	RestoreMode,
	RestorePhase,
	RestoreReport,
	TaskState,
	UpkeepKind,
	UpkeepReport,
} from "@sterna/shared/backup";
import { GuestSpec } from "@sterna/shared/guest";
import {
	BackupJobId,
	GuestId,
	HostId,
	PointId,
	RepositoryId,
	RestoreId,
	TimestampMs,
	UpkeepId,
	VolumeId,
} from "@sterna/shared/ids";
import { Refusal } from "@sterna/shared/migration";
import { Name } from "@sterna/shared/names";
import { z } from "zod";
import { GuestRef, HostRef } from "./views.ts";
import { ProtectionState } from "./views-guests.ts";

/** What the pages about backups get; the same rules as in `views.ts`. No view ever holds a repository's key or credentials. */

export const RepositoryRef = z.object({ id: RepositoryId, name: z.string() });
export const JobRef = z.object({ id: BackupJobId, name: z.string() });

// ── repositories ───────────────────────────────────────────────────────────────────────────────────────────────────

/** `damaged`: the last scrub found damage that no backup has healed since. `unreachable`: no host gets to it. */
export const RepositoryHealth = z.enum(["healthy", "watch", "damaged", "unreachable", "full"]);
export type RepositoryHealth = z.infer<typeof RepositoryHealth>;

export const RepositoryRow = z.object({
	id: RepositoryId,
	name: z.string(),
	kind: z.enum(["directory", "s3"]),
	/** Where it is, for a person: `backups on 3 hosts`, `bucket sterna at s3.example`. */
	place: z.string(),
	health: RepositoryHealth,
	healthSentence: z.string(),
	usage: RepositoryUsage.nullable(),
	/** Logical over stored bytes; null before the first point. */
	dedupRatio: z.number().nullable(),
	/** Mean over the last 14 days; null while unknown. */
	growthBytesPerDay: z.number().nullable(),
	daysUntilFull: z.number().nullable(),
	lastScrubAt: TimestampMs.nullable(),
	lastCollectAt: TimestampMs.nullable(),
	running: z.array(z.object({ id: z.string(), kind: z.enum(["backup", "restore", "scrub", "collect", "canary"]) })),
});
export type RepositoryRow = z.infer<typeof RepositoryRow>;

export const RepositoryView = RepositoryRow.extend({
	createdAt: TimestampMs,
	/** The admin has seen and confirmed the recovery key; jobs need it. */
	keyConfirmed: z.boolean(),
	hosts: z.array(HostRef),
	/** One sample a day, oldest first. */
	history: z.array(z.object({ at: TimestampMs, storedBytes: z.number(), logicalBytes: z.number() })),
	damages: z.array(RepositoryDamage),
	upkeeps: z.array(UpkeepReport.extend({ host: HostRef })),
	scrubCron: z.string(),
	scrubTimeZone: z.string(),
	lockDays: z.int().nullable(),
	canaryAt: TimestampMs.nullable(),
	/** What the last canary showed; null where nothing is locked. */
	canarySentence: z.string().nullable(),
	jobs: z.array(JobRef),
});
export type RepositoryView = z.infer<typeof RepositoryView>;

/** A folder for backups that hosts offer by their own configuration. */
export const RepositoryPlaceOffer = z.object({
	name: z.string(),
	hosts: z.array(HostRef),
	/** Of the largest of them. */
	capacityBytes: z.number(),
	freeBytes: z.number(),
});
export type RepositoryPlaceOffer = z.infer<typeof RepositoryPlaceOffer>;

/** What `repositories.create` gives once: the key to write down. */
export const RepositoryCreated = z.object({ id: RepositoryId, recoveryKey: z.string() });
export type RepositoryCreated = z.infer<typeof RepositoryCreated>;

// ── jobs and runs ──────────────────────────────────────────────────────────────────────────────────────────────────

export const JobRow = z.object({
	id: BackupJobId,
	name: z.string(),
	enabled: z.boolean(),
	repository: RepositoryRef,
	/** `3 guests with tag db`. */
	selectionSentence: z.string(),
	/** `every day at 02:00, Europe/Vienna`. */
	scheduleSentence: z.string(),
	guests: z.int(),
	nextRunAt: TimestampMs.nullable(),
	lastRun: z
		.object({
			at: TimestampMs,
			state: z.enum(["running", "completed", "failed", "partly", "missed"]),
			sentence: z.string(),
		})
		.nullable(),
	lateGuests: z.int(),
});
export type JobRow = z.infer<typeof JobRow>;

export const JobView = JobRow.extend({ spec: BackupJobSpec, createdAt: TimestampMs, createdBy: z.string() });
export type JobView = z.infer<typeof JobView>;

/** What a job would do, before it is saved: whom it takes, when it runs, what each run reads, what retention would remove. */
export const JobPreview = z.object({
	guests: z.array(GuestRef.extend({ host: HostRef, diskBytes: z.number() })),
	nextRuns: z.array(TimestampMs),
	warnings: z.array(z.string()),
	/** What the next run reads of each guest and why; asked from the agents, null where they did not answer. */
	plans: z.array(z.object({ guest: GuestRef, plan: BackupPlan.nullable() })),
	/** Points that this retention would remove now and the present one would not. */
	wouldRemove: z.array(z.object({ guest: GuestRef, pointId: PointId, takenAt: TimestampMs })),
	wouldKeep: z.int(),
});
export type JobPreview = z.infer<typeof JobPreview>;

/** One point of one guest under a retention: kept why, or removed. */
export const RetentionPreview = z.object({
	points: z.array(
		z.object({
			pointId: PointId,
			takenAt: TimestampMs,
			keptBy: z.array(z.string()),
			protectedBy: z.string().nullable(),
		}),
	),
});

/** `scheduled`: waits for its turn. `missed`: it could not begin within its window. */
export const RunState = z.enum(["scheduled", ...TaskState.options, "missed"]);
export type RunState = z.infer<typeof RunState>;

export const RunRow = z.object({
	/** The point that the run makes. */
	pointId: PointId,
	guest: GuestRef,
	host: HostRef.nullable(),
	repository: RepositoryRef,
	job: JobRef.nullable(),
	state: RunState,
	/** Why it has not begun yet, or never did; null once it has. */
	waitsFor: z.string().nullable(),
	phase: BackupPhase.nullable(),
	progress: z.number(),
	remainingMs: z.number().nullable(),
	dueAt: TimestampMs,
	startedAt: TimestampMs.nullable(),
	endedAt: TimestampMs.nullable(),
	readBytes: z.number(),
	storedBytes: z.number(),
	attempt: z.int(),
	/** Of the volumes, why any was read whole; empty when all were read by their changes. */
	wholeReads: z.array(ReadReason),
	errorMessage: z.string().nullable(),
	requestedBy: z.string(),
});
export type RunRow = z.infer<typeof RunRow>;

export const RunView = RunRow.extend({ report: BackupReport.nullable(), cancelRefusal: z.string().nullable() });
export type RunView = z.infer<typeof RunView>;

// ── recovery points ────────────────────────────────────────────────────────────────────────────────────────────────

export const PointRow = z.object({
	id: PointId,
	guest: GuestRef,
	repository: RepositoryRef,
	job: JobRef.nullable(),
	takenAt: TimestampMs,
	consistency: Consistency,
	consistencyRemark: z.string().nullable(),
	sizeBytes: z.number(),
	storedBytes: z.number(),
	volumes: z.array(PointVolume),
	/** Who protects it from retention and since when. */
	protectedBy: z.string().nullable(),
	/** What the scrub found; null when whole. */
	damage: z.string().nullable(),
	/** Last drill of this very point. */
	proof: z
		.object({ at: TimestampMs, ok: z.boolean(), provedAfterMs: z.number().nullable(), restoreId: RestoreId })
		.nullable(),
});
export type PointRow = z.infer<typeof PointRow>;

export const PointView = PointRow.extend({
	spec: GuestSpec,
	host: HostRef.nullable(),
	parentPointId: PointId.nullable(),
});
export type PointView = z.infer<typeof PointView>;

/** How a guest is protected right now: not what the schedule promises, but what is there. */
export const Protection = z.object({
	guest: GuestRef,
	state: ProtectionState,
	sentence: z.string(),
	/** Age of the newest whole point: what would be lost now. Null without one. */
	recoveryPointAgeMs: z.number().nullable(),
	newestPoint: PointRow.nullable(),
	points: z.int(),
	/** The last measured time from a restore's beginning to the guest's check being met. */
	measuredRecoveryMs: z.number().nullable(),
	measuredRecoveryAt: TimestampMs.nullable(),
	jobs: z.array(JobRef),
	nextRunAt: TimestampMs.nullable(),
	tags: z.array(z.string()),
});
export type Protection = z.infer<typeof Protection>;

/** A month of a guest's points, by day in the asked time zone: `2026-11-22`. */
export const PointCalendar = z.object({
	days: z.array(z.object({ day: z.string(), points: z.array(PointRow), failedRuns: z.int(), missedRuns: z.int() })),
});
export type PointCalendar = z.infer<typeof PointCalendar>;

// ── restores and drills ────────────────────────────────────────────────────────────────────────────────────────────

export const RestoreRow = z.object({
	id: RestoreId,
	mode: RestoreMode,
	/** The guest that the point is of. */
	guest: GuestRef,
	/** What was made or written over, or got a disk. */
	target: GuestRef,
	targetKind: z.enum(["new", "over", "disk", "drill"]),
	host: HostRef,
	pointId: PointId,
	pointTakenAt: TimestampMs,
	state: TaskState,
	phase: RestorePhase.nullable(),
	progress: z.number(),
	remainingMs: z.number().nullable(),
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	bootedAfterMs: z.number().nullable(),
	provedAfterMs: z.number().nullable(),
	hasScreenshot: z.boolean(),
	errorMessage: z.string().nullable(),
	requestedBy: z.string(),
});
export type RestoreRow = z.infer<typeof RestoreRow>;

export const RestoreView = RestoreRow.extend({
	report: RestoreReport.nullable(),
	check: DrillCheck.nullable(),
	cancelRefusal: z.string().nullable(),
	/** Why nobody can stop trying now: for one that only goes forward and does not get there. */
	giveUpRefusal: z.object({ message: z.string(), cure: z.string() }).nullable(),
});
export type RestoreView = z.infer<typeof RestoreView>;

/** What a restore would do. Input says how; nothing is changed by asking. */
export const RestorePlan = z.object({
	point: PointRow,
	/** The guest to be, with its new identity where it gets one. */
	spec: GuestSpec,
	hosts: z.array(z.object({ host: HostRef, chosen: z.boolean(), refusals: z.array(Refusal) })),
	steps: z.array(z.string()),
	refusals: z.array(Refusal),
	copyBytes: z.number(),
	/** From what restores of this repository have taken so far; null before the first. */
	predictedDurationMs: z.number().nullable(),
	undo: z.string(),
});
export type RestorePlan = z.infer<typeof RestorePlan>;

/** Where a restore puts the guest: a new one, over the old one (stopped), or one disk of it beside those of another guest. */
export const RestoreTarget = z.discriminatedUnion("kind", [
	z.strictObject({
		kind: z.literal("new"),
		name: Name,
		/** A chosen host; the planner chooses without. */
		hostId: HostId.optional(),
		/** Without, the guest's network cards are left out: two guests with one address harm each other. */
		connectNetworks: z.boolean(),
	}),
	z.strictObject({ kind: z.literal("over") }),
	z.strictObject({ kind: z.literal("disk"), volumeId: VolumeId, intoGuestId: GuestId }),
]);
export type RestoreTarget = z.infer<typeof RestoreTarget>;

export const RestoreRequest = z.strictObject({
	pointId: PointId,
	/** Drills are asked for by `restores.drill`. */
	mode: z.enum(["copy", "instant"]),
	target: RestoreTarget,
	/** Start the guest when its disks are there; `instant` always does. */
	start: z.boolean().default(true),
});
export type RestoreRequest = z.infer<typeof RestoreRequest>;

/** Where the browser fetches a file from: once, within a minute. */
export const DownloadTicket = z.object({ url: z.string(), expiresAt: TimestampMs });

export { BackupJobSpec, DrillCheck, GuestRef, Retention, UpkeepId, UpkeepKind };
