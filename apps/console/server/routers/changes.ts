import { GuestMetrics } from "@sterna/shared/guest";
import { HostMetrics } from "@sterna/shared/host";
import type { TrackedEnvelope } from "@trpc/server";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { viewerProcedure } from "../trpc.ts";
import { MigrationView } from "../views.ts";

/** What a page can listen to: a list, or one object of it. */
export const Topic = z
	.string()
	.regex(
		/^(overview|hosts|guests|migrations|evacuations|health|events|(host|guest|migration|evacuation):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
		"is no topic",
	);

/** What happened to a topic: ask again, or take the data that came along. */
export const Notice = z.discriminatedUnion("type", [
	z.object({ type: z.literal("changed"), topic: z.string() }),
	/** A live migration's state, about twice a second; on `migration:<id>`. */
	z.object({ type: z.literal("migration"), topic: z.string(), migration: MigrationView }),
	/** One more sample; on `host:<id>` and `guest:<id>`. */
	z.object({ type: z.literal("hostMetrics"), topic: z.string(), sample: HostMetrics }),
	z.object({ type: z.literal("guestMetrics"), topic: z.string(), sample: GuestMetrics }),
	/** Something was missed (a long sleep, a restarted console): ask everything again. */
	z.object({ type: z.literal("missed") }),
]);
export type Notice = z.infer<typeof Notice>;

/**
 * One subscription per page, limited to what it shows. Items are `tracked(id, Notice)`: after a reconnect the client
 * sends the last id and gets what it missed, or one `missed`.
 */
export const changes = viewerProcedure
	.input(z.strictObject({ topics: z.array(Topic).min(1).max(100), lastEventId: z.string().max(40).nullish() }))
	.subscription(async function* (): AsyncGenerator<TrackedEnvelope<Notice>> {
		yield notBuilt();
	});
