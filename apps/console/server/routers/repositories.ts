import { CronExpression, TimeZone } from "@sterna/backup/schedule";
import { RepositoryKey, RepositoryPlace, UpkeepKind } from "@sterna/shared/backup";
import { RepositoryId, UpkeepId } from "@sterna/shared/ids";
import { Name } from "@sterna/shared/names";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { adminProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import {
	RepositoryCreated,
	RepositoryHealth,
	RepositoryPlaceOffer,
	RepositoryRow,
	RepositoryView,
} from "../views-backups.ts";

const one = z.strictObject({ id: RepositoryId });
const done = z.object({ id: RepositoryId });

export const repositories = router({
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				sort: z.enum(["name", "stored", "health"]).default("name"),
				health: z.array(RepositoryHealth).max(5).optional(),
			}),
		)
		.output(pageOf(RepositoryRow))
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(one)
		.output(RepositoryView)
		.query(() => notBuilt()),
	/** Folders that hosts offer for a new repository. */
	places: viewerProcedure.output(z.object({ places: z.array(RepositoryPlaceOffer) })).query(() => notBuilt()),
	/** Makes a repository in an empty place. The recovery key is shown this once. */
	create: adminProcedure
		.input(z.strictObject({ name: Name, place: RepositoryPlace }))
		.output(RepositoryCreated)
		.mutation(() => notBuilt()),
	/** Opens a repository that is there already: after a disaster, with an empty console. Its points come into the catalogue. */
	attach: adminProcedure
		.input(z.strictObject({ name: Name, place: RepositoryPlace, key: RepositoryKey }))
		.output(done)
		.mutation(() => notBuilt()),
	/** The admin types the recovery key back, or its last eight characters: it was written down. Jobs need it. */
	confirmKey: adminProcedure
		.input(z.strictObject({ id: RepositoryId, key: z.string().trim().min(8).max(100) }))
		.output(done)
		.mutation(() => notBuilt()),
	/** A new recovery key; the old one opens nothing from then on. */
	replaceKey: adminProcedure
		.input(one)
		.output(RepositoryCreated)
		.mutation(() => notBuilt()),
	/** Begins a round of upkeep now. */
	upkeep: adminProcedure
		.input(z.strictObject({ id: RepositoryId, kind: UpkeepKind }))
		.output(z.object({ upkeepId: UpkeepId }))
		.mutation(() => notBuilt()),
	/** When everything is read and checked. */
	setScrub: adminProcedure
		.input(z.strictObject({ id: RepositoryId, cron: CronExpression, timeZone: TimeZone }))
		.output(done)
		.mutation(() => notBuilt()),
	/** Forgets the repository; nothing in it is deleted. Its name is typed. Refused while jobs use it. */
	remove: adminProcedure
		.input(z.strictObject({ id: RepositoryId, name: Name }))
		.output(done)
		.mutation(() => notBuilt()),
});
