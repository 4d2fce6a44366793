import { BackupJobId, GuestId, PointId, RepositoryId } from "@sterna/shared/ids";
import { z } from "zod";
import { listRuns, runView } from "../backups/present-runs.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { RunRow, RunState, RunView } from "../views-backups.ts";

const one = z.strictObject({ pointId: PointId });

export const runs = router({
	/** The newest first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["dueAt", "guest", "state"]).default("dueAt"),
				guestId: GuestId.optional(),
				jobId: BackupJobId.optional(),
				repositoryId: RepositoryId.optional(),
				state: z.array(RunState).max(8).optional(),
			}),
		)
		.output(pageOf(RunRow))
		.query(({ ctx: { console }, input }) => listRuns(console.core, console.backups, input)),
	get: viewerProcedure
		.input(one)
		.output(RunView)
		.query(async ({ ctx: { console }, input }) =>
			runView(console.core, console.backups, await console.backups.runs.get(input.pointId)),
		),
	/** Before its commit only; one that has not begun yet is taken from the queue. */
	cancel: operatorProcedure
		.input(one)
		.output(z.object({ state: RunState }))
		.mutation(async ({ ctx, input }) => {
			const { runs } = ctx.console.backups;
			const { state } = await runs.cancel(await runs.get(input.pointId), ctx.user.name);
			return { state };
		}),
	/** Backs the guest up now. */
	start: operatorProcedure
		.input(z.strictObject({ guestId: GuestId, repositoryId: RepositoryId }))
		.output(z.object({ pointId: PointId }))
		.mutation(async ({ ctx, input }) => {
			const { core, backups } = ctx.console;
			const repository = backups.repositories.get(input.repositoryId);
			const { pointId } = await backups.scheduler.runGuest(
				core.inventory.guest(input.guestId),
				repository,
				ctx.user.name,
			);
			return { pointId };
		}),
});
