import { SternaError } from "@sterna/shared/errors";
import { z } from "zod";
import { router, viewerProcedure } from "../trpc.ts";
import { EventView } from "../views-events.ts";

export const events = router({
	/** Newest first; `before` pages on from a sequence number. */
	list: viewerProcedure
		.input(
			z.strictObject({
				/** Id of a host, guest, migration, evacuation or user. */
				objectId: z.string().max(100).optional(),
				actor: z.string().max(200).optional(),
				/** `guest.started`, or the part before the dot. */
				kind: z.string().max(100).optional(),
				/** Words in the sentence. */
				filter: z.string().max(100).default(""),
				before: z.int().min(1).optional(),
				limit: z.int().min(1).max(200).default(50),
			}),
		)
		.output(z.object({ rows: z.array(EventView), nextBefore: z.int().nullable() }))
		.query(({ ctx: { console }, input }) => console.core.events.list(input)),
	/** What the filters offer. */
	facets: viewerProcedure
		.output(z.object({ actors: z.array(z.string()), kinds: z.array(z.string()) }))
		.query(({ ctx: { console } }) => console.core.events.facets()),
	get: viewerProcedure
		.input(z.strictObject({ sequence: z.int().min(1) }))
		.output(EventView)
		.query(async ({ ctx: { console }, input }) => {
			const event = await console.core.events.get(input.sequence);
			if (!event) throw new SternaError("not_found", `there is no event ${input.sequence}`);
			return event;
		}),
	/** Computes the chain of hashes anew; `brokenAt` is the first event that does not fit. */
	verify: viewerProcedure
		.output(z.object({ events: z.int(), brokenAt: z.int().nullable() }))
		.query(({ ctx: { console } }) => console.core.events.verify()),
});
