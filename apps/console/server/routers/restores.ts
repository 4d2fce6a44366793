import { DrillCheck, RestoreMode, TaskState } from "@sterna/shared/backup";
import { GuestId, PointId, RestoreId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { RestorePlan, RestoreRequest, RestoreRow, RestoreView } from "../views-backups.ts";

const one = z.strictObject({ id: RestoreId });
const begun = z.object({ id: RestoreId });

export const restores = router({
	/** What the restore would do; nothing is changed by asking. */
	plan: operatorProcedure
		.input(RestoreRequest)
		.output(RestorePlan)
		.query(() => notBuilt()),
	/** Begins it. Operators restore to new guests; over an existing one, or a disk into one, only admins do. */
	start: operatorProcedure
		.input(RestoreRequest)
		.output(begun)
		.mutation(() => notBuilt()),
	/** The newest first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["startedAt", "guest", "state"]).default("startedAt"),
				guestId: GuestId.optional(),
				pointId: PointId.optional(),
				mode: z.array(RestoreMode).max(3).optional(),
				state: z.array(TaskState).max(6).optional(),
			}),
		)
		.output(pageOf(RestoreRow))
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(one)
		.output(RestoreView)
		.query(() => notBuilt()),
	cancel: operatorProcedure
		.input(one)
		.output(z.object({ state: TaskState }))
		.mutation(() => notBuilt()),
	/** The drill's picture: PNG, base64. It may show what the guest shows on its screen. */
	screenshot: operatorProcedure
		.input(one)
		.output(z.object({ png: z.string() }))
		.query(() => notBuilt()),
	/** Boots the point, or the guest's newest one, without networks, checks that it works, and throws it away. */
	drill: operatorProcedure
		.input(
			z.union([
				z.strictObject({ pointId: PointId, check: DrillCheck }),
				z.strictObject({ guestId: GuestId, check: DrillCheck }),
			]),
		)
		.output(begun)
		.mutation(() => notBuilt()),
});
