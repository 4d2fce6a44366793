import { GuestId } from "@sterna/shared/ids";
import { z } from "zod";
import { protectionOf, urgencyOf } from "../backups/present-protection.ts";
import { summaryOf } from "../backups/protection.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import { cutPage, matches } from "../present/paging.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { Protection } from "../views-backups.ts";
import { ProtectionState, ProtectionSummary } from "../views-guests.ts";

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
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			const guests = [...core.inventory.guests.values()].filter(
				({ existence, name, protection: how }) =>
					existence === "present" &&
					matches(input.filter, name) &&
					(!input.state || (how !== null && input.state.includes(how.state))),
			);
			const page = cutPage(guests, input, keys[input.sort], keys.guest);
			return {
				rows: await Promise.all(page.items.map((guest) => protectionOf(core, backups, guest))),
				total: page.total,
			};
		}),
	get: viewerProcedure
		.input(z.strictObject({ guestId: GuestId }))
		.output(Protection)
		.query(({ ctx: { console }, input }) =>
			protectionOf(console.core, console.backups, console.core.inventory.guest(input.guestId)),
		),
	summary: viewerProcedure
		.output(ProtectionSummary)
		.query(({ ctx: { console } }) => summaryOf(console.core.inventory.guests.values())),
});

const keys = {
	urgency: urgencyOf,
	guest: ({ name }: GuestEntry) => name,
	age: ({ protection: how }: GuestEntry) => how?.recoveryPointAgeMs ?? null,
};
