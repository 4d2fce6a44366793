import { EvacuationId, HostId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { EvacuationRow, EvacuationState, EvacuationView, pageOf, paging } from "../views.ts";

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
		.query(notBuilt),
	get: viewerProcedure.input(oneEvacuation).output(EvacuationView).query(notBuilt),
	/** Begins no further move and cancels those before their commit point; guests that have left stay where they are. */
	cancel: operatorProcedure
		.input(oneEvacuation)
		.output(z.object({ state: EvacuationState }))
		.mutation(notBuilt),
});
