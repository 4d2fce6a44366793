import { DrillCheck, RestoreMode, TaskState } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, PointId, RestoreId } from "@sterna/shared/ids";
import { z } from "zod";
import type { Backups } from "../backups/backups.ts";
import { giveUpRestore } from "../backups/give-up.ts";
import { listRestores, restorePlanView, restoreView } from "../backups/present-restores.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { RestorePlan, RestoreRequest, RestoreRow, RestoreView } from "../views-backups.ts";

const one = z.strictObject({ id: RestoreId });
const begun = z.object({ id: RestoreId });

export const restores = router({
	/** What the restore would do; nothing is changed by asking. */
	plan: operatorProcedure
		.input(RestoreRequest)
		.output(RestorePlan)
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			return restorePlanView(core, backups, await backups.restores.plan(input));
		}),
	/** Begins it. Operators restore to new guests; over an existing one, or a disk into one, only admins do. */
	start: operatorProcedure
		.input(RestoreRequest)
		.output(begun)
		.mutation(async ({ ctx, input }) => {
			if (input.target.kind !== "new" && ctx.user.role !== "admin") {
				throw new SternaError(
					"forbidden",
					`changing an existing guest by a restore needs the role admin; ${ctx.user.name} is ${ctx.user.role}`,
					{
						cure: "restore to a new guest, or ask an admin",
					},
				);
			}
			const { id } = await ctx.console.backups.restores.start(input, ctx.user.name);
			return { id };
		}),
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
		.query(({ ctx: { console }, input }) => listRestores(console.core, console.backups, input)),
	get: viewerProcedure
		.input(one)
		.output(RestoreView)
		.query(async ({ ctx: { console }, input }) =>
			restoreView(console.core, console.backups, await console.backups.restores.get(input.id)),
		),
	cancel: operatorProcedure
		.input(one)
		.output(z.object({ state: TaskState }))
		.mutation(async ({ ctx, input }) => {
			const { restores: all } = ctx.console.backups;
			const restore = await all.get(input.id);
			await all.cancel(restore, ctx.user.name);
			return { state: restore.state };
		}),
	/** Ends one that only goes forward and whose guest does not run: nothing is deleted, its disks stay half filled. */
	giveUp: adminProcedure
		.input(one)
		.output(z.object({ state: TaskState }))
		.mutation(async ({ ctx, input }) => {
			const { core, hub, backups } = ctx.console;
			const restore = await backups.restores.get(input.id);
			await giveUpRestore({ core, hub, restores: backups.restores }, restore, ctx.user.name);
			return { state: restore.state };
		}),
	/** The drill's picture: PNG, base64. It may show what the guest shows on its screen. */
	screenshot: operatorProcedure
		.input(one)
		.output(z.object({ png: z.string() }))
		.query(async ({ ctx: { console }, input }) => {
			const { restores: all } = console.backups;
			return { png: await all.screenshot(await all.get(input.id)) };
		}),
	/** Boots the point, or the guest's newest one, without networks, checks that it works, and throws it away. */
	drill: operatorProcedure
		.input(
			z.union([
				z.strictObject({ pointId: PointId, check: DrillCheck }),
				z.strictObject({ guestId: GuestId, check: DrillCheck }),
			]),
		)
		.output(begun)
		.mutation(async ({ ctx, input }) => {
			const { core, backups } = ctx.console;
			const point =
				"pointId" in input
					? await backups.catalogue.get(input.pointId)
					: await newestWhole(backups, core.inventory.guest(input.guestId));
			const { id } = await backups.restores.drill(point, input.check, ctx.user.name, null);
			return { id };
		}),
});

/** @throws {SternaError} `not_found` for a guest without a whole recovery point. */
async function newestWhole({ catalogue }: Backups, guest: { id: GuestId; name: string }) {
	const point = (await catalogue.pointsOf(guest.id)).find(({ damage }) => damage === null);
	if (!point)
		throw new SternaError("not_found", `${guest.name} has no whole recovery point to prove`, {
			cure: "back it up first",
		});
	return point;
}
