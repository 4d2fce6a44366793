import { type TrackedEnvelope, tracked } from "@trpc/server";
import { z } from "zod";
import type { Notice } from "../changes.ts";
import { viewerProcedure } from "../trpc.ts";

export type { Notice } from "../changes.ts";

/** What a page can listen to: a list, or one object of it. */
export const Topic = z
	.string()
	.regex(
		/^(overview|hosts|guests|migrations|evacuations|health|events|repositories|jobs|runs|points|protection|restores|(host|guest|migration|evacuation|repository|job|run|point|restore):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
		"is no topic",
	);

/**
 * One subscription per page, limited to what it shows. Items are `tracked(id, Notice)`: after a reconnect the client
 * sends the last id and gets what it missed, or one `missed`.
 */
export const changes = viewerProcedure
	.input(z.strictObject({ topics: z.array(Topic).min(1).max(100), lastEventId: z.string().max(40).nullish() }))
	.subscription(async function* ({ ctx, input, signal }): AsyncGenerator<TrackedEnvelope<Notice>> {
		const watched = ctx.console.core.changes.watch(
			new Set(input.topics),
			input.lastEventId ?? null,
			signal ?? new AbortController().signal,
		);
		for await (const { id, notice } of watched) yield tracked(id, notice);
	});
