import { Severity } from "@sterna/shared/health";
import { TimestampMs } from "@sterna/shared/ids";
import { z } from "zod";

/** What the pages get of the event log. */

export const EventObject = z.object({
	type: z.enum(["host", "guest", "migration", "evacuation", "user", "repository", "job", "point", "restore"]),
	id: z.string(),
	name: z.string(),
});
export type EventObject = z.infer<typeof EventObject>;

export const EventView = z.object({
	/** Place in the log; never reused. */
	sequence: z.int(),
	at: TimestampMs,
	/** noun.past: `guest.started`, `host.quarantined`. */
	kind: z.string(),
	actor: z.string(),
	objects: z.array(EventObject),
	sentence: z.string(),
	why: z.string().nullable(),
	/** The readings, the rule, the alternatives that lost. */
	evidence: z.json().nullable(),
	severity: Severity.nullable(),
	hash: z.string(),
});
export type EventView = z.infer<typeof EventView>;
