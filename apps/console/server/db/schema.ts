import type { Tag } from "@sterna/backup/job";
import type { GuestReport, GuestSpec } from "@sterna/shared/guest";
import type { Finding, Severity } from "@sterna/shared/health";
import type { HostFacts, HostMode } from "@sterna/shared/host";
import type { EvacuationId, GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import type {
	MigrationOptions,
	MigrationPhase,
	MigrationReport,
	MigrationState,
	Refusal,
} from "@sterna/shared/migration";
import type { SignedPermit } from "@sterna/shared/protocol/permit";
import { sql } from "drizzle-orm";
import {
	bigint,
	boolean,
	index,
	integer,
	jsonb,
	pgTable,
	primaryKey,
	real,
	text,
	uniqueIndex,
	uuid,
} from "drizzle-orm/pg-core";
import type { EventObject } from "../views-events.ts";
import type { EvacuationItemState, EvacuationState } from "../views-migrations.ts";
import { instant } from "./columns.ts";

export * from "./auth-schema.ts";
export * from "./backup-schema.ts";

export const hosts = pgTable(
	"hosts",
	{
		id: uuid("id").$type<HostId>().primaryKey(),
		name: text("name").notNull(),
		mode: text("mode").$type<HostMode>().notNull().default("normal"),
		/** A revoked host's certificate is refused; the row stays for the log. */
		revokedAt: instant("revoked_at"),
		quarantinedBecause: text("quarantined_because"),
		/** Highest connection number that was seen of this host's key; a repeated one means a copy of it. */
		lastConnection: bigint("last_connection", { mode: "number" }).notNull().default(-1),
		facts: jsonb("facts").$type<HostFacts>(),
		joinedAt: instant("joined_at").notNull(),
		lastHeardAt: instant("last_heard_at"),
	},
	// A revoked server may join again, as a new host under its old name.
	(table) => [uniqueIndex("hosts_name").on(table.name).where(sql`revoked_at is null`)],
);

export const hostCertificates = pgTable(
	"host_certificates",
	{
		serial: text("serial").primaryKey(),
		hostId: uuid("host_id").$type<HostId>().notNull(),
		issuedAt: instant("issued_at").notNull(),
		expiresAt: instant("expires_at").notNull(),
	},
	(table) => [index().on(table.hostId)],
);

/** `selector` finds the row, `verifierHash` proves the secret: so a wrong guess burns one try of the token it aims at. */
export const joinTokens = pgTable("join_tokens", {
	selector: text("selector").primaryKey(),
	verifierHash: text("verifier_hash").notNull(),
	remark: text("remark").notNull().default(""),
	createdBy: text("created_by").notNull(),
	createdAt: instant("created_at").notNull(),
	expiresAt: instant("expires_at").notNull(),
	tries: integer("tries").notNull().default(0),
	usedAt: instant("used_at"),
	usedByHostId: uuid("used_by_host_id").$type<HostId>(),
});

export const guests = pgTable(
	"guests",
	{
		id: uuid("id").$type<GuestId>().primaryKey(),
		name: text("name").notNull().unique(),
		spec: jsonb("spec").$type<GuestSpec>().notNull(),
		/** `creating` and `deleting` are finished by the console's driver when the agent was out of reach; `restoring` by its restore. */
		existence: text("existence").$type<"creating" | "present" | "deleting" | "restoring">().notNull(),
		ownerHostId: uuid("owner_host_id")
			.$type<HostId>()
			.notNull()
			.references(() => hosts.id),
		/** The grant that the owner holds. */
		epoch: bigint("epoch", { mode: "number" }).notNull(),
		/** The highest grant ever given out, also to moves that failed; the next is one more. */
		highestEpoch: bigint("highest_epoch", { mode: "number" }).notNull(),
		/** While these are set the owner is {owner, permit target} and nobody else may start the guest. */
		permitMigrationId: uuid("permit_migration_id").$type<MigrationId>(),
		permitTargetHostId: uuid("permit_target_host_id").$type<HostId>(),
		permitEpoch: bigint("permit_epoch", { mode: "number" }),
		/** Memory that a host must set aside: the guest's own and what QEMU takes beside it. */
		grantedBytes: bigint("granted_bytes", { mode: "number" }).notNull(),
		/** Words by which backup jobs choose it. */
		tags: jsonb("tags").$type<Tag[]>().notNull().default([]),
		/** The owner's last report, for the time while no agent is heard. */
		report: jsonb("report").$type<GuestReport>(),
		createdAt: instant("created_at").notNull(),
		createdBy: text("created_by").notNull(),
	},
	(table) => [index().on(table.ownerHostId), index().on(table.permitTargetHostId)],
);

/** Every address of a guest's NIC, so that two guests never get the same one. */
export const guestAddresses = pgTable("guest_addresses", {
	mac: text("mac").primaryKey(),
	guestId: uuid("guest_id")
		.$type<GuestId>()
		.notNull()
		.references(() => guests.id, { onDelete: "cascade" }),
});

export const migrations = pgTable(
	"migrations",
	{
		id: uuid("id").$type<MigrationId>().primaryKey(),
		guestId: uuid("guest_id").$type<GuestId>().notNull(),
		guestName: text("guest_name").notNull(),
		sourceHostId: uuid("source_host_id").$type<HostId>().notNull(),
		targetHostId: uuid("target_host_id").$type<HostId>().notNull(),
		epoch: bigint("epoch", { mode: "number" }).notNull(),
		permit: jsonb("permit").$type<SignedPermit>().notNull(),
		permitExpiresAt: instant("permit_expires_at").notNull(),
		options: jsonb("options").$type<MigrationOptions>().notNull(),
		/** The source's agent has answered `migration.start`; until then the console repeats it. */
		acknowledged: boolean("acknowledged").notNull().default(false),
		cancelRequested: boolean("cancel_requested").notNull().default(false),
		state: text("state").$type<MigrationState>().notNull(),
		phase: text("phase").$type<MigrationPhase>().notNull(),
		report: jsonb("report").$type<MigrationReport>(),
		error: jsonb("error").$type<Refusal>(),
		requestedBy: text("requested_by").notNull(),
		evacuationId: uuid("evacuation_id").$type<EvacuationId>(),
		startedAt: instant("started_at").notNull(),
		endedAt: instant("ended_at"),
	},
	(table) => [
		uniqueIndex("migrations_one_per_guest").on(table.guestId).where(sql`ended_at is null`),
		index().on(table.startedAt),
		index().on(table.sourceHostId),
		index().on(table.targetHostId),
	],
);

export const evacuations = pgTable(
	"evacuations",
	{
		id: uuid("id").$type<EvacuationId>().primaryKey(),
		hostId: uuid("host_id").$type<HostId>().notNull(),
		state: text("state").$type<EvacuationState>().notNull(),
		reason: text("reason").notNull(),
		requestedBy: text("requested_by").notNull(),
		cancelRequested: boolean("cancel_requested").notNull().default(false),
		startedAt: instant("started_at").notNull(),
		endedAt: instant("ended_at"),
	},
	(table) => [
		uniqueIndex("evacuations_one_per_host").on(table.hostId).where(sql`ended_at is null`),
		index().on(table.startedAt),
	],
);

export const evacuationItems = pgTable(
	"evacuation_items",
	{
		evacuationId: uuid("evacuation_id")
			.$type<EvacuationId>()
			.notNull()
			.references(() => evacuations.id, { onDelete: "cascade" }),
		guestId: uuid("guest_id").$type<GuestId>().notNull(),
		guestName: text("guest_name").notNull(),
		position: integer("position").notNull(),
		state: text("state").$type<EvacuationItemState>().notNull(),
		targetHostId: uuid("target_host_id").$type<HostId>(),
		migrationId: uuid("migration_id").$type<MigrationId>(),
		attempts: integer("attempts").notNull().default(0),
		/** Hosts that this guest could not be moved to in this evacuation. */
		triedHostIds: jsonb("tried_host_ids").$type<HostId[]>().notNull().default([]),
		reason: text("reason"),
		cure: text("cure"),
		measuredDowntimeMs: real("measured_downtime_ms"),
	},
	(table) => [primaryKey({ columns: [table.evacuationId, table.guestId] })],
);

export const findings = pgTable(
	"findings",
	{
		id: uuid("id").primaryKey(),
		hostId: uuid("host_id").$type<HostId>().notNull(),
		key: text("key").notNull(),
		severity: text("severity").$type<Severity>().notNull(),
		finding: jsonb("finding").$type<Finding>().notNull(),
		state: text("state").$type<"open" | "cleared" | "released">().notNull(),
		openedAt: instant("opened_at").notNull(),
		clearedAt: instant("cleared_at"),
		releasedAt: instant("released_at"),
		releasedBy: text("released_by"),
		action: text("action"),
	},
	(table) => [
		uniqueIndex("findings_one_open").on(table.hostId, table.key).where(sql`state = 'open'`),
		index().on(table.openedAt),
	],
);

/** Append-only: a trigger refuses updates and deletes. Each row carries the hash of the one before. */
export const events = pgTable(
	"events",
	{
		sequence: bigint("sequence", { mode: "number" }).primaryKey(),
		at: instant("at").notNull(),
		kind: text("kind").notNull(),
		actor: text("actor").notNull(),
		objects: jsonb("objects").$type<EventObject[]>().notNull(),
		sentence: text("sentence").notNull(),
		why: text("why"),
		evidence: jsonb("evidence"),
		severity: text("severity").$type<Severity>(),
		previousHash: text("previous_hash").notNull(),
		hash: text("hash").notNull(),
	},
	(table) => [index("events_objects").using("gin", table.objects), index().on(table.kind), index().on(table.actor)],
);

/** One averaged sample a minute, kept for a week; finer ones are asked from the agent. */
export const metricRollups = pgTable(
	"metric_rollups",
	{
		objectId: uuid("object_id").notNull(),
		minute: instant("minute").notNull(),
		sample: jsonb("sample").notNull(),
	},
	(table) => [primaryKey({ columns: [table.objectId, table.minute] })],
);

export const settings = pgTable("settings", { key: text("key").primaryKey(), value: jsonb("value").notNull() });
