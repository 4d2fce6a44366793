import { BackupJobSpec } from "@sterna/backup/job";
import { CronExpression, TimeZone } from "@sterna/backup/schedule";
import { BackupJobId, RepositoryId, TimestampMs } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { JobPreview, JobRow, JobView } from "../views-backups.ts";

const one = z.strictObject({ id: BackupJobId });
const done = z.object({ id: BackupJobId });

export const jobs = router({
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				sort: z.enum(["name", "nextRun", "guests", "late"]).default("name"),
				repositoryId: RepositoryId.optional(),
			}),
		)
		.output(pageOf(JobRow))
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(one)
		.output(JobView)
		.query(() => notBuilt()),
	/** What the job would do. With `id`, compared with the job as it is. */
	preview: operatorProcedure
		.input(z.strictObject({ spec: BackupJobSpec, id: BackupJobId.optional() }))
		.output(JobPreview)
		.query(() => notBuilt()),
	create: adminProcedure
		.input(z.strictObject({ spec: BackupJobSpec }))
		.output(done)
		.mutation(() => notBuilt()),
	update: adminProcedure
		.input(z.strictObject({ id: BackupJobId, spec: BackupJobSpec }))
		.output(done)
		.mutation(() => notBuilt()),
	setEnabled: adminProcedure
		.input(z.strictObject({ id: BackupJobId, enabled: z.boolean() }))
		.output(done)
		.mutation(() => notBuilt()),
	/** All its guests, now. `runs`: those that wait for their turn. */
	runNow: operatorProcedure
		.input(one)
		.output(z.object({ id: BackupJobId, runs: z.int() }))
		.mutation(() => notBuilt()),
	/** Its points stay, under its retention. */
	remove: adminProcedure
		.input(one)
		.output(done)
		.mutation(() => notBuilt()),
	/** The next ten times of a schedule, and the schedule in words. */
	nextRuns: viewerProcedure
		.input(z.strictObject({ cron: CronExpression, timeZone: TimeZone }))
		.output(z.object({ at: z.array(TimestampMs), sentence: z.string() }))
		.query(() => notBuilt()),
});
