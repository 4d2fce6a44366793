import { GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import { MigrationState } from "@sterna/shared/migration";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { MigrationRow, MigrationView, pageOf, paging } from "../views.ts";

const oneMigration = z.strictObject({ migrationId: MigrationId });

export const migrations = router({
	/** The newest first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["startedAt", "guest", "state", "downtime"]).default("startedAt"),
				state: z.array(MigrationState).max(6).optional(),
				guestId: GuestId.optional(),
				/** As source or target. */
				hostId: HostId.optional(),
			}),
		)
		.output(pageOf(MigrationRow))
		.query(notBuilt),
	get: viewerProcedure.input(oneMigration).output(MigrationView).query(notBuilt),
	/** Unwinds a move that has not reached its commit point; refused after it. */
	cancel: operatorProcedure
		.input(oneMigration)
		.output(z.object({ state: MigrationState }))
		.mutation(notBuilt),
});
