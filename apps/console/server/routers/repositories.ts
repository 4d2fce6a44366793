import { CronExpression, TimeZone } from "@sterna/backup/schedule";
import { RepositoryKey, RepositoryPlace, UpkeepKind } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { RepositoryId, UpkeepId } from "@sterna/shared/ids";
import { Name } from "@sterna/shared/names";
import { z } from "zod";
import type { Backups } from "../backups/backups.ts";
import { placeOffers, repositoryRow, repositoryView } from "../backups/present-repositories.ts";
import type { RepositoryEntry } from "../backups/repositories.ts";
import { cutPage, matches } from "../present/paging.ts";
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
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			const named = backups.repositories.all().filter(({ name }) => matches(input.filter, name));
			const all = await Promise.all(named.map((entry) => repositoryRow(core, backups, entry)));
			const rows = all.filter(({ health }) => !input.health || input.health.includes(health));
			const keyOf = {
				name: rowName,
				stored: (row: RepositoryRow) => row.usage?.storedBytes ?? null,
				health: rowHealth,
			};
			const page = cutPage(rows, input, keyOf[input.sort], rowName);
			return { rows: page.items, total: page.total };
		}),
	get: viewerProcedure
		.input(one)
		.output(RepositoryView)
		.query(({ ctx: { console }, input }) =>
			repositoryView(console.core, console.backups, console.backups.repositories.get(input.id)),
		),
	/** Folders that hosts offer for a new repository. */
	places: viewerProcedure
		.output(z.object({ places: z.array(RepositoryPlaceOffer) }))
		.query(({ ctx: { console } }) => ({ places: placeOffers(console.core) })),
	/** Makes a repository in an empty place. The recovery key is shown this once. */
	create: adminProcedure
		.input(z.strictObject({ name: Name, place: RepositoryPlace }))
		.output(RepositoryCreated)
		.mutation(async ({ ctx, input }) => {
			const { repositories, reach } = ctx.console.backups;
			const created = await repositories.create(input, ctx.user.name);
			await reach.welcome(repositories.get(created.id));
			return created;
		}),
	/** Opens a repository that is there already: after a disaster, with an empty console. Its points come into the catalogue. */
	attach: adminProcedure
		.input(z.strictObject({ name: Name, place: RepositoryPlace, key: RepositoryKey }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { repositories, reach, catalogue } = ctx.console.backups;
			const entry = await repositories.attach(input, ctx.user.name);
			await reach.welcome(entry);
			await catalogue.sync(entry);
			return { id: entry.id };
		}),
	/** The admin types the recovery key back, or its last eight characters: it was written down. Jobs need it. */
	confirmKey: adminProcedure
		.input(z.strictObject({ id: RepositoryId, key: z.string().trim().min(8).max(100) }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { repositories } = ctx.console.backups;
			await repositories.confirmKey(repositories.get(input.id), input.key, ctx.user.name);
			return { id: input.id };
		}),
	/** A new recovery key; the old one opens nothing from then on. */
	replaceKey: adminProcedure
		.input(one)
		.output(RepositoryCreated)
		.mutation(({ ctx, input }) => {
			const { repositories, reach, restores } = ctx.console.backups;
			const entry = repositories.get(input.id);
			restores.refuseWhileReading(entry);
			return repositories.replaceKey(entry, reach.anyHost(entry), ctx.user.name);
		}),
	/** Begins a round of upkeep now. */
	upkeep: adminProcedure
		.input(z.strictObject({ id: RepositoryId, kind: UpkeepKind }))
		.output(z.object({ upkeepId: UpkeepId }))
		.mutation(async ({ ctx, input }) => {
			const { repositories, upkeep } = ctx.console.backups;
			const { id } = await upkeep.begin(repositories.get(input.id), input.kind, ctx.user.name);
			return { upkeepId: id };
		}),
	/** When everything is read and checked. */
	setScrub: adminProcedure
		.input(z.strictObject({ id: RepositoryId, cron: CronExpression, timeZone: TimeZone }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { repositories } = ctx.console.backups;
			await repositories.setScrub(repositories.get(input.id), input, ctx.user.name);
			return { id: input.id };
		}),
	/** Forgets the repository; nothing in it is deleted. Its name is typed. Refused while jobs use it. */
	remove: adminProcedure
		.input(z.strictObject({ id: RepositoryId, name: Name }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { backups } = ctx.console;
			const entry = backups.repositories.get(input.id);
			refuseRemoval(backups, entry, input.name);
			await backups.repositories.remove(entry, ctx.user.name);
			return { id: input.id };
		}),
});

const rowName = ({ name }: RepositoryRow) => name;
const rowHealth = ({ health }: RepositoryRow) => RepositoryHealth.options.indexOf(health);

/** @throws {SternaError} `invalid` for another name than its own; `conflict` while jobs, runs or restores use it. */
function refuseRemoval({ jobs, runs, restores }: Backups, entry: RepositoryEntry, name: string): void {
	if (name !== entry.name) throw new SternaError("invalid", `this is the repository ${entry.name}, not ${name}`);
	const job = jobs.all().find(({ spec }) => spec.repositoryId === entry.id);
	if (job)
		throw new SternaError("conflict", `the job ${job.name} saves into ${entry.name}`, {
			cure: "remove the job, or give it another repository",
		});
	const busy = [...runs.open(), ...restores.open()].some(({ repositoryId }) => repositoryId === entry.id);
	if (busy)
		throw new SternaError("conflict", `a backup or restore uses ${entry.name} right now`, {
			cure: "wait for its end, or cancel it",
		});
}
