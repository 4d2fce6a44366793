import { z } from "zod";
import { BackupReport, RestoreReport, UpkeepReport } from "../backup.ts";
import { GuestMetrics, GuestReport } from "../guest.ts";
import { Finding } from "../health.ts";
import { HostFacts, HostMetrics } from "../host.ts";
import { GuestId } from "../ids.ts";
import { MigrationReport } from "../migration.ts";

/** Limits that keep one agent from drowning the console. */
export const maxGuestsPerHost = 2000;
export const maxFindingsPerHost = 500;

/** Everything the agent knows, sent first and whenever the console's last id is too old to resume from. */
export const Snapshot = z.strictObject({
	type: z.literal("snapshot"),
	facts: HostFacts,
	guests: z.array(GuestReport).max(maxGuestsPerHost),
	findings: z.array(Finding).max(maxFindingsPerHost),
	migrations: z.array(MigrationReport).max(200),
	backups: z.array(BackupReport).max(200),
	restores: z.array(RestoreReport).max(200),
	upkeeps: z.array(UpkeepReport).max(200),
	metrics: HostMetrics.nullable(),
});

/** One change of the agent's state. State is sent whole per object, so a lost or doubled event does no harm. */
export const ReportEvent = z.discriminatedUnion("type", [
	Snapshot,
	z.strictObject({ type: z.literal("host.changed"), facts: HostFacts }),
	z.strictObject({ type: z.literal("guest.changed"), guest: GuestReport }),
	z.strictObject({ type: z.literal("guest.removed"), guestId: GuestId, generation: z.int().min(0) }),
	z.strictObject({ type: z.literal("findings.changed"), findings: z.array(Finding).max(maxFindingsPerHost) }),
	z.strictObject({ type: z.literal("migration.changed"), migration: MigrationReport }),
	z.strictObject({ type: z.literal("backup.changed"), backup: BackupReport }),
	z.strictObject({ type: z.literal("restore.changed"), restore: RestoreReport }),
	z.strictObject({ type: z.literal("upkeep.changed"), upkeep: UpkeepReport }),
	z.strictObject({
		type: z.literal("metrics.sampled"),
		host: HostMetrics,
		guests: z.array(GuestMetrics).max(maxGuestsPerHost),
	}),
]);
export type ReportEvent = z.infer<typeof ReportEvent>;

/** An event with its place in the agent's sequence. `run` names one life of the agent process: ids of another run cannot be resumed from. */
export const TrackedReport = z.strictObject({ run: z.uuid(), id: z.int().min(1), event: ReportEvent });
export type TrackedReport = z.infer<typeof TrackedReport>;
