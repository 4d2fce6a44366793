import { Tag } from "@sterna/backup/job";
import { GuestMetrics, GuestState } from "@sterna/shared/guest";
import { GuestId, HostId, MigrationId, TimestampMs, VolumeId } from "@sterna/shared/ids";
import { MigrationOptions } from "@sterna/shared/migration";
import { ResourceName } from "@sterna/shared/names";
import { VolumeSizeBytes } from "@sterna/shared/volume";
import { z } from "zod";
import { forgetGuest, forgetGuests } from "../guests/forget.ts";
import { NewGuest } from "../guests/new-guest.ts";
import { planCreate } from "../guests/plan-create.ts";
import type { GuestEntry, Inventory } from "../inventory/inventory.ts";
import { guestStanding } from "../inventory/standing.ts";
import { guestRow, guestView } from "../present/guests.ts";
import { cutPage, matches } from "../present/paging.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { BulkResult, CreatePlan, GuestRow, GuestView, MigrationPlanView, SerialTicket } from "../views-guests.ts";

const changed = z.object({ id: GuestId });
const oneGuest = z.strictObject({ guestId: GuestId });

/** Actions that need nothing but the guest; the same words as `refuseGuestAction` of the shared package. */
export const PowerAction = z.enum(["start", "shutDown", "powerOff", "pause", "resume", "delete"]);
export type PowerAction = z.infer<typeof PowerAction>;

const accepted = z.object({ guestId: GuestId, state: GuestState });
const power = (action: PowerAction) =>
	operatorProcedure
		.input(oneGuest)
		.output(accepted)
		.mutation(async ({ ctx, input: { guestId } }) => ({
			guestId,
			state: await ctx.console.actions.power(action, guestId, ctx.user.name),
		}));

export const guests = router({
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				sort: z.enum(["name", "state", "host", "cpu", "memory"]).default("name"),
				state: z.array(GuestState).max(7).optional(),
				hostId: HostId.optional(),
			}),
		)
		.output(pageOf(GuestRow))
		.query(({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			const at = now();
			const found = [...inventory.guests.values()].filter(
				(guest) =>
					matches(input.filter, guest.name, guest.id, ...guest.spec.nics.map(({ mac }) => mac)) &&
					(!input.hostId || guest.grant.ownerHostId === input.hostId) &&
					(!input.state || input.state.includes(guestStanding(guest, inventory, at).state)),
			);
			const page = cutPage(
				found,
				input,
				(guest) => sortKey(input.sort, guest, inventory, at),
				(guest) => guest.name,
			);
			return { rows: page.items.map((guest) => guestRow(guest, inventory, at)), total: page.total };
		}),
	get: viewerProcedure
		.input(oneGuest)
		.output(GuestView)
		.query(({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			return guestView(inventory.guest(input.guestId), inventory, now());
		}),
	metrics: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, since: TimestampMs }))
		.output(z.object({ samples: z.array(GuestMetrics) }))
		.query(async ({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			const guest = inventory.guest(input.guestId);
			const { host } = guestStanding(guest, inventory, now());
			if (host.connected) {
				const fine = await console.hub.call(host.id, "guest.metrics", input).catch(() => null);
				if (fine && fine.samples.length > 0) return fine;
			}
			const minutes = await console.rollups.since(guest.id, input.since);
			return { samples: minutes.map((minute) => GuestMetrics.parse(minute)) };
		}),

	/** Where it would go and why; may be asked while the form is half filled. */
	planCreate: operatorProcedure
		.input(NewGuest.partial({ name: true, boot: true }))
		.output(CreatePlan)
		.query(({ ctx: { console }, input }) => planCreate(console.core, input)),
	/** Creates the guest, stopped, and starts it when `start`. */
	create: operatorProcedure
		.input(NewGuest.extend({ start: z.boolean().default(true) }))
		.output(accepted)
		.mutation(async ({ ctx, input: { start, ...wish } }) => {
			const { id: guestId } = await ctx.console.existence.create(wish, ctx.user.name);
			const state = start ? await ctx.console.actions.power("start", guestId, ctx.user.name) : "stopped";
			return { guestId, state };
		}),

	start: power("start"),
	/** Presses the power button; the guest ends when it likes. */
	shutDown: power("shutDown"),
	powerOff: power("powerOff"),
	pause: power("pause"),
	resume: power("resume"),
	delete: power("delete"),
	/** Removes the record of a guest whose host was revoked and is gone for ever; `name` is typed by the person. */
	forget: adminProcedure
		.input(z.strictObject({ guestId: GuestId, name: z.string().max(200) }))
		.output(z.object({ guestId: GuestId }))
		.mutation(async ({ ctx, input: { guestId, name } }) => {
			const { core } = ctx.console;
			await forgetGuest(core, core.inventory.guest(guestId), name, ctx.user.name);
			return { guestId };
		}),
	/** Forgets many; each has a result of its own. */
	forgetMany: adminProcedure
		.input(z.strictObject({ guestIds: z.array(GuestId).min(1).max(200) }))
		.output(z.object({ results: z.array(BulkResult) }))
		.mutation(async ({ ctx, input }) => ({
			results: await forgetGuests(ctx.console.core, input.guestIds, ctx.user.name),
		})),
	/** One action on many guests; each has a result of its own. */
	bulk: operatorProcedure
		.input(z.strictObject({ action: PowerAction, guestIds: z.array(GuestId).min(1).max(200) }))
		.output(z.object({ results: z.array(BulkResult) }))
		.mutation(async ({ ctx, input }) => ({
			results: await ctx.console.actions.bulk(input.action, input.guestIds, ctx.user.name),
		})),

	/** Other hosts as targets: the best fitting, of those with `filter` in their names. */
	planMigration: operatorProcedure
		.input(oneGuest.extend({ filter: z.string().max(100).default("") }))
		.output(MigrationPlanView)
		.query(({ ctx, input }) => ctx.console.actions.planMigration(input.guestId, input.filter)),
	/** Begins a move; follow it at /migrations/<id>. Without a target the planner chooses. */
	migrate: operatorProcedure
		.input(
			z.strictObject({
				guestId: GuestId,
				targetHostId: HostId.optional(),
				options: MigrationOptions.default({ maxDowntimeMs: 1000, autoConverge: true }),
			}),
		)
		.output(z.object({ migrationId: MigrationId }))
		.mutation(async ({ ctx, input }) => ({
			migrationId: (await ctx.console.actions.migrate(input, ctx.user.name)).id,
		})),

	/** Words by which backup jobs choose guests. */
	setTags: adminProcedure
		.input(z.strictObject({ id: GuestId, tags: z.array(Tag).max(20) }))
		.output(z.object({ id: GuestId, tags: z.array(Tag) }))
		.mutation(({ ctx, input }) => ctx.console.volumes.setTags(input, ctx.user.name)),
	/** Makes a disk larger, also while the guest runs. */
	growVolume: adminProcedure
		.input(z.strictObject({ id: GuestId, volumeId: VolumeId, sizeBytes: VolumeSizeBytes }))
		.output(changed)
		.mutation(({ ctx, input }) => ctx.console.volumes.grow(input, ctx.user.name)),
	/** Gives the guest another disk, empty, also while it runs. Repeated with the same `volumeId`, it makes one disk. */
	attachVolume: adminProcedure
		.input(
			z.strictObject({ id: GuestId, pool: ResourceName, sizeBytes: VolumeSizeBytes, volumeId: VolumeId.optional() }),
		)
		.output(z.object({ id: GuestId, volumeId: VolumeId }))
		.mutation(({ ctx, input }) => ctx.console.volumes.attach(input, ctx.user.name)),
	/** Moves a disk to another pool of the same host, also while the guest runs. */
	moveVolume: adminProcedure
		.input(z.strictObject({ id: GuestId, volumeId: VolumeId, pool: ResourceName }))
		.output(changed)
		.mutation(({ ctx, input }) => ctx.console.volumes.move(input, ctx.user.name)),

	/** Opens the guest's serial line for writing too. The ticket is the first frame on the WebSocket at `path`. */
	openSerial: operatorProcedure
		.input(oneGuest)
		.output(SerialTicket)
		.mutation(({ ctx, input }) => {
			const { id: guestId } = ctx.console.core.inventory.guest(input.guestId);
			const holder = { userId: ctx.user.userId, sessionId: ctx.sessionId, guestId };
			return { ...ctx.console.tickets.issue(holder), path: "/serial" };
		}),
});

function sortKey(
	sort: "name" | "state" | "host" | "cpu" | "memory",
	guest: GuestEntry,
	inventory: Inventory,
	now: number,
): string | number | null {
	switch (sort) {
		case "name":
			return guest.name;
		case "state":
			return guestStanding(guest, inventory, now).state;
		case "host":
			return inventory.hostName(guest.grant.ownerHostId);
		case "cpu":
			return guest.metrics?.cpuUsed ?? null;
		case "memory":
			return guest.spec.memoryBytes;
	}
}
