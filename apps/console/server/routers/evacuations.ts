import { EvacuationId, HostId } from "@sterna/shared/ids";
import { z } from "zod";
import { findEvacuation, listEvacuations } from "../evacuations/list.ts";
import { evacuationView } from "../present/evacuations.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { EvacuationRow, EvacuationState, EvacuationView } from "../views-migrations.ts";

const oneEvacuation = z.strictObject({ evacuationId: EvacuationId });

export const evacuations = router({
	/** The newest first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				state: z.array(EvacuationState).max(4).optional(),
				hostId: HostId.optional(),
			}),
		)
		.output(pageOf(EvacuationRow))
		.query(({ ctx: { console }, input }) => listEvacuations(console.core, input)),
	get: viewerProcedure
		.input(oneEvacuation)
		.output(EvacuationView)
		.query(async ({ ctx: { console }, input }) =>
			evacuationView(console.core, await findEvacuation(console.core, input.evacuationId)),
		),
	/** Begins no further move and cancels those before their commit point; guests that have left stay where they are. */
	cancel: operatorProcedure
		.input(oneEvacuation)
		.output(z.object({ state: EvacuationState }))
		.mutation(async ({ ctx, input }) => {
			await findEvacuation(ctx.console.core, input.evacuationId);
			await ctx.console.evacuations.cancel(input.evacuationId, ctx.user.name);
			return { state: (await findEvacuation(ctx.console.core, input.evacuationId)).state };
		}),
});
