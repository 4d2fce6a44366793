import { BackupJobId, GuestId, PointId, RepositoryId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
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
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(one)
		.output(RunView)
		.query(() => notBuilt()),
	/** Before its commit only; one that has not begun yet is taken from the queue. */
	cancel: operatorProcedure
		.input(one)
		.output(z.object({ state: RunState }))
		.mutation(() => notBuilt()),
	/** Backs the guest up now. */
	start: operatorProcedure
		.input(z.strictObject({ guestId: GuestId, repositoryId: RepositoryId }))
		.output(z.object({ pointId: PointId }))
		.mutation(() => notBuilt()),
});
