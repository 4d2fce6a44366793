import { BackupJobSpec } from "@sterna/backup/job";
import { CronExpression, nextRuns, TimeZone } from "@sterna/backup/schedule";
import { scheduleSentence } from "@sterna/backup/schedule-words";
import { BackupJobId, RepositoryId, TimestampMs } from "@sterna/shared/ids";
import { z } from "zod";
import { jobRow, jobView, previewJob } from "../backups/present-jobs.ts";
import { cutPage, matches } from "../present/paging.ts";
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
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			const named = backups.jobs
				.all()
				.filter(
					(job) =>
						matches(input.filter, job.name) && (!input.repositoryId || job.spec.repositoryId === input.repositoryId),
				);
			const rows = await Promise.all(named.map((job) => jobRow(core, backups, job)));
			const page = cutPage(rows, input, keys[input.sort], keys.name);
			return { rows: page.items, total: page.total };
		}),
	get: viewerProcedure
		.input(one)
		.output(JobView)
		.query(({ ctx: { console }, input }) => jobView(console.core, console.backups, console.backups.jobs.get(input.id))),
	/** What the job would do. With `id`, compared with the job as it is. */
	preview: operatorProcedure
		.input(z.strictObject({ spec: BackupJobSpec, id: BackupJobId.optional() }))
		.output(JobPreview)
		.query(({ ctx: { console }, input }) => previewJob(console.core, console.backups, console.hub, input)),
	create: adminProcedure
		.input(z.strictObject({ spec: BackupJobSpec }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { id } = await ctx.console.backups.jobs.create(input.spec, ctx.user.name);
			return { id };
		}),
	update: adminProcedure
		.input(z.strictObject({ id: BackupJobId, spec: BackupJobSpec }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { jobs } = ctx.console.backups;
			await jobs.update(jobs.get(input.id), input.spec, ctx.user.name);
			return { id: input.id };
		}),
	setEnabled: adminProcedure
		.input(z.strictObject({ id: BackupJobId, enabled: z.boolean() }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { jobs } = ctx.console.backups;
			const job = jobs.get(input.id);
			await jobs.update(job, { ...job.spec, enabled: input.enabled }, ctx.user.name);
			return { id: input.id };
		}),
	/** All its guests, now. `runs`: those that wait for their turn. */
	runNow: operatorProcedure
		.input(one)
		.output(z.object({ id: BackupJobId, runs: z.int() }))
		.mutation(async ({ ctx, input }) => {
			const { jobs, scheduler } = ctx.console.backups;
			return { id: input.id, runs: await scheduler.runNow(jobs.get(input.id), ctx.user.name) };
		}),
	/** Its points stay, under its retention. */
	remove: adminProcedure
		.input(one)
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { jobs } = ctx.console.backups;
			await jobs.remove(jobs.get(input.id), ctx.user.name);
			return { id: input.id };
		}),
	/** The next ten times of a schedule, and the schedule in words. */
	nextRuns: viewerProcedure
		.input(z.strictObject({ cron: CronExpression, timeZone: TimeZone }))
		.output(z.object({ at: z.array(TimestampMs), sentence: z.string() }))
		.query(({ ctx: { console }, input: { cron, timeZone } }) => ({
			at: nextRuns(cron, timeZone, console.backups.clock.now(), 10),
			sentence: scheduleSentence(cron, timeZone),
		})),
});

const keys = {
	name: ({ name }: JobRow) => name,
	nextRun: ({ nextRunAt }: JobRow) => nextRunAt,
	guests: ({ guests }: JobRow) => guests,
	late: ({ lateGuests }: JobRow) => lateGuests,
};
