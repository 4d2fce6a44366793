import type { BackupJobSpec } from "@sterna/backup/job";
import type {
	BackupReport,
	DrillCheck,
	RecoveryPoint,
	RepositoryDamage,
	RepositoryUsage,
	RestoreMode,
	RestoreReport,
	TaskState,
	UpkeepKind,
	UpkeepReport,
} from "@sterna/shared/backup";
import type { GuestSpec } from "@sterna/shared/guest";
import type {
	BackupJobId,
	GuestId,
	HostId,
	PointId,
	RepositoryId,
	RestoreId,
	UpkeepId,
	VolumeId,
} from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import { sql } from "drizzle-orm";
import { bigint, boolean, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { instant } from "./columns.ts";

export const repositories = pgTable(
	"repositories",
	{
		id: uuid("id").$type<RepositoryId>().primaryKey(),
		name: text("name").notNull(),
		kind: text("kind").$type<"directory" | "s3">().notNull(),
		/** Where it is, for a person; holds no secret. */
		placeText: text("place_text").notNull(),
		/** Place and key, sealed by the vault: a copy of the database alone opens no repository. */
		sealedAccess: text("sealed_access").notNull(),
		/** While a new key is on its way into the repository: both are kept until it is known which one counts. */
		sealedNextKey: text("sealed_next_key"),
		lockDays: integer("lock_days").notNull(),
		keyConfirmedAt: instant("key_confirmed_at"),
		scrubCron: text("scrub_cron").notNull(),
		scrubTimeZone: text("scrub_time_zone").notNull(),
		/** Up to when the times of scrub, collection and canary were looked at. */
		scrubSeenAt: instant("scrub_seen_at").notNull(),
		usage: jsonb("usage").$type<RepositoryUsage>(),
		damages: jsonb("damages").$type<RepositoryDamage[]>().notNull().default([]),
		createdAt: instant("created_at").notNull(),
		createdBy: text("created_by").notNull(),
	},
	(table) => [uniqueIndex("repositories_name").on(table.name)],
);

/** One sample a day: growth, and days until full. */
export const repositoryUsage = pgTable(
	"repository_usage",
	{
		repositoryId: uuid("repository_id")
			.$type<RepositoryId>()
			.notNull()
			.references(() => repositories.id, { onDelete: "cascade" }),
		/** `2026-11-22`, UTC. */
		day: text("day").notNull(),
		usage: jsonb("usage").$type<RepositoryUsage>().notNull(),
	},
	(table) => [uniqueIndex("repository_usage_day").on(table.repositoryId, table.day)],
);

export const backupJobs = pgTable(
	"backup_jobs",
	{
		id: uuid("id").$type<BackupJobId>().primaryKey(),
		name: text("name").notNull(),
		spec: jsonb("spec").$type<BackupJobSpec>().notNull(),
		/** Up to when its times were looked at: those until then have their runs, or were told as missed. */
		seenAt: instant("seen_at").notNull(),
		drillSeenAt: instant("drill_seen_at").notNull(),
		createdAt: instant("created_at").notNull(),
		createdBy: text("created_by").notNull(),
		/** A removed job takes nobody any more; its rule goes on for the points that it made. */
		removedAt: instant("removed_at"),
	},
	(table) => [uniqueIndex("backup_jobs_name").on(table.name).where(sql`removed_at is null`)],
);

/** `scheduled` waits for its turn, `missed` could not begin within its window. */
export type RunRowState = "scheduled" | "missed" | TaskState;

export const backupRuns = pgTable(
	"backup_runs",
	{
		/** The point that the run makes. Each attempt has one of its own. */
		pointId: uuid("point_id").$type<PointId>().primaryKey(),
		guestId: uuid("guest_id").$type<GuestId>().notNull(),
		guestName: text("guest_name").notNull(),
		repositoryId: uuid("repository_id").$type<RepositoryId>().notNull(),
		/** Null: a person asked for this guest alone. */
		jobId: uuid("job_id").$type<BackupJobId>(),
		/** The host that was asked to make it; null until then. */
		hostId: uuid("host_id").$type<HostId>(),
		state: text("state").$type<RunRowState>().notNull(),
		/** The agent has answered `backup.start`; until then the console repeats it. */
		acknowledged: boolean("acknowledged").notNull().default(false),
		cancelRequested: boolean("cancel_requested").notNull().default(false),
		attempt: integer("attempt").notNull(),
		dueAt: instant("due_at").notNull(),
		/** Not before: retries wait. */
		notBefore: instant("not_before").notNull(),
		/** Not after: it is `missed` then. */
		windowEndsAt: instant("window_ends_at").notNull(),
		/** Why it has not begun. */
		waitsFor: text("waits_for"),
		startedAt: instant("started_at"),
		endedAt: instant("ended_at"),
		report: jsonb("report").$type<BackupReport>(),
		error: jsonb("error").$type<Refusal>(),
		requestedBy: text("requested_by").notNull(),
	},
	(table) => [
		uniqueIndex("backup_runs_one_per_guest").on(table.guestId).where(sql`state in ('running', 'waiting', 'undoing')`),
		uniqueIndex("backup_runs_one_queued")
			.on(table.guestId, table.repositoryId, table.jobId)
			.where(sql`state = 'scheduled'`),
		index().on(table.dueAt),
		index().on(table.jobId, table.dueAt),
	],
);

/** What the repositories hold, as far as the console has heard. The repository is the authority. */
export const recoveryPoints = pgTable(
	"recovery_points",
	{
		id: uuid("id").$type<PointId>().primaryKey(),
		repositoryId: uuid("repository_id")
			.$type<RepositoryId>()
			.notNull()
			.references(() => repositories.id, { onDelete: "cascade" }),
		guestId: uuid("guest_id").$type<GuestId>().notNull(),
		guestName: text("guest_name").notNull(),
		/** The job that made it; null when a person asked, or when it came with an attached repository. */
		jobId: uuid("job_id").$type<BackupJobId>(),
		takenAt: instant("taken_at").notNull(),
		manifest: jsonb("manifest").$type<RecoveryPoint>().notNull(),
		sizeBytes: bigint("size_bytes", { mode: "number" }).notNull(),
		storedBytes: bigint("stored_bytes", { mode: "number" }).notNull(),
		protectedBy: text("protected_by"),
		/** What the last scrub found, as a sentence; null when whole. */
		damage: text("damage"),
		/** It is to be made invisible; set before the agent is asked, so that a crash does not forget it. */
		prunedAt: instant("pruned_at"),
	},
	(table) => [index().on(table.guestId, table.takenAt), index().on(table.repositoryId), index().on(table.takenAt)],
);

export const restores = pgTable(
	"restores",
	{
		id: uuid("id").$type<RestoreId>().primaryKey(),
		mode: text("mode").$type<RestoreMode>().notNull(),
		pointId: uuid("point_id").$type<PointId>().notNull(),
		pointTakenAt: instant("point_taken_at").notNull(),
		repositoryId: uuid("repository_id").$type<RepositoryId>().notNull(),
		/** The guest that the point is of, and the one that is made or written over. */
		guestId: uuid("guest_id").$type<GuestId>().notNull(),
		guestName: text("guest_name").notNull(),
		targetGuestId: uuid("target_guest_id").$type<GuestId>().notNull(),
		targetName: text("target_name").notNull(),
		/** `new`: the guest goes again when the restore fails; `over`, `disk`: it was there before. */
		targetKind: text("target_kind").$type<"new" | "over" | "disk" | "drill">().notNull(),
		hostId: uuid("host_id").$type<HostId>().notNull(),
		epoch: bigint("epoch", { mode: "number" }).notNull(),
		spec: jsonb("spec").$type<GuestSpec>().notNull(),
		volumes: jsonb("volumes").$type<{ from: VolumeId; to: VolumeId }[]>().notNull(),
		check: jsonb("check").$type<DrillCheck>(),
		start: boolean("start").notNull(),
		state: text("state").$type<TaskState>().notNull(),
		acknowledged: boolean("acknowledged").notNull().default(false),
		cancelRequested: boolean("cancel_requested").notNull().default(false),
		report: jsonb("report").$type<RestoreReport>(),
		error: jsonb("error").$type<Refusal>(),
		requestedBy: text("requested_by").notNull(),
		/** The job whose drill it is. */
		jobId: uuid("job_id").$type<BackupJobId>(),
		startedAt: instant("started_at").notNull(),
		endedAt: instant("ended_at"),
	},
	(table) => [
		uniqueIndex("restores_one_per_target").on(table.targetGuestId).where(sql`ended_at is null`),
		index().on(table.startedAt),
		index().on(table.pointId),
		index().on(table.guestId),
	],
);

export const upkeeps = pgTable(
	"upkeeps",
	{
		id: uuid("id").$type<UpkeepId>().primaryKey(),
		repositoryId: uuid("repository_id")
			.$type<RepositoryId>()
			.notNull()
			.references(() => repositories.id, { onDelete: "cascade" }),
		kind: text("kind").$type<UpkeepKind>().notNull(),
		hostId: uuid("host_id").$type<HostId>().notNull(),
		state: text("state").$type<TaskState>().notNull(),
		acknowledged: boolean("acknowledged").notNull().default(false),
		report: jsonb("report").$type<UpkeepReport>(),
		error: jsonb("error").$type<Refusal>(),
		requestedBy: text("requested_by").notNull(),
		startedAt: instant("started_at").notNull(),
		endedAt: instant("ended_at"),
	},
	(table) => [
		uniqueIndex("upkeeps_one_per_kind").on(table.repositoryId, table.kind).where(sql`ended_at is null`),
		index().on(table.repositoryId, table.startedAt),
	],
);
