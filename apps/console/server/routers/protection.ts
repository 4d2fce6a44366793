import { GuestId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { ProtectionState, ProtectionSummary, pageOf, paging } from "../views.ts";
import { Protection } from "../views-backups.ts";

export const protection = router({
	/** Every guest with what would be lost of it now; the worst first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["urgency", "guest", "age"]).default("urgency"),
				state: z.array(ProtectionState).max(5).optional(),
			}),
		)
		.output(pageOf(Protection))
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(z.strictObject({ guestId: GuestId }))
		.output(Protection)
		.query(() => notBuilt()),
	summary: viewerProcedure.output(ProtectionSummary).query(() => notBuilt()),
});
