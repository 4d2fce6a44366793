import { GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import { MigrationState } from "@sterna/shared/migration";
import { z } from "zod";
import { findMove, listMigrations } from "../migrations/list.ts";
import { migrationView } from "../migrations/present.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { MigrationRow, MigrationView } from "../views-migrations.ts";

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
		.query(({ ctx: { console }, input }) => listMigrations(console.core, input)),
	get: viewerProcedure
		.input(oneMigration)
		.output(MigrationView)
		.query(async ({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			return migrationView(await findMove(console.core, input.migrationId), inventory, now());
		}),
	/** Unwinds a move that has not reached its commit point; refused after it. */
	cancel: operatorProcedure
		.input(oneMigration)
		.output(z.object({ state: MigrationState }))
		.mutation(async ({ ctx: { console }, input }) => {
			const move = await findMove(console.core, input.migrationId);
			await console.driver.cancel(move);
			return { state: move.state };
		}),
});
