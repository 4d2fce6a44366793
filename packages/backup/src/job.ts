import { DrillCheck } from "@sterna/shared/backup";
import { GuestId, RepositoryId } from "@sterna/shared/ids";
import { Name, ResourceName } from "@sterna/shared/names";
import { MiB } from "@sterna/shared/units";
import { z } from "zod";
import { CronExpression, TimeZone } from "./schedule.ts";

/** A word by which guests are chosen: `production`, `db`. Lower-case letters, digits and hyphens. */
export const Tag = z
	.string()
	.regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, "a tag has lower-case letters, digits and hyphens");
export type Tag = z.infer<typeof Tag>;

/** Which guests a job saves, decided anew at every run. */
export const Selection = z.discriminatedUnion("by", [
	z.strictObject({ by: z.literal("all") }),
	z.strictObject({ by: z.literal("guests"), guestIds: z.array(GuestId).min(1).max(2000) }),
	/** Guests that carry any of the tags. */
	z.strictObject({ by: z.literal("tags"), tags: z.array(Tag).min(1).max(50) }),
	/** Guests that have a volume in the storage pool. */
	z.strictObject({ by: z.literal("pool"), pool: ResourceName }),
]);
export type Selection = z.infer<typeof Selection>;

/**
 * How many points stay: of each guest the last n; then the newest of each of the last n hours, days, ISO weeks, months and
 * years that have one and are not covered by a rule before, in the job's time zone.
 */
export const Retention = z
	.strictObject({
		last: z.int().min(0).max(1000),
		hourly: z.int().min(0).max(1000),
		daily: z.int().min(0).max(1000),
		weekly: z.int().min(0).max(1000),
		monthly: z.int().min(0).max(1000),
		yearly: z.int().min(0).max(1000),
	})
	.refine((rules) => Object.values(rules).some((count) => count > 0), {
		message: "a retention keeps at least one point",
	});
export type Retention = z.infer<typeof Retention>;

/** What is backed up when, where to, and for how long. */
export const BackupJobSpec = z.strictObject({
	name: Name,
	enabled: z.boolean(),
	repositoryId: RepositoryId,
	selection: Selection,
	cron: CronExpression,
	timeZone: TimeZone,
	/** Runs begin only within so many minutes of their time, also those caught up after the console was away. */
	startWithinMinutes: z
		.int()
		.min(1)
		.max(7 * 24 * 60),
	retries: z.int().min(0).max(10),
	retryAfterMinutes: z
		.int()
		.min(1)
		.max(24 * 60),
	atOncePerHost: z.int().min(1).max(16),
	atOncePerRepository: z.int().min(1).max(100),
	bytesPerSecond: z.int().min(MiB).nullable(),
	freeze: z.boolean(),
	retention: Retention,
	/** A guest whose newest point is older is late, whatever the schedule says. */
	alertAfterMinutes: z
		.int()
		.min(5)
		.max(366 * 24 * 60),
	/** Proves each guest's newest point by booting it; null without. */
	drill: z.strictObject({ cron: CronExpression, check: DrillCheck }).nullable(),
});
export type BackupJobSpec = z.infer<typeof BackupJobSpec>;
