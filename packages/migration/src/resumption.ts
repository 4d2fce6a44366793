import { failureOf, hasEnded, type JournalEntry, type MoveFacts } from "./journal.ts";
import type { OwnershipRecord } from "./ownership-record.ts";

/**
 * What is left to do about a move that was interrupted, by a failure or by a restart of the agent.
 *
 * - `undo`: not handed over. Cancel, discard at the target, the guest runs here.
 * - `forward`: handed over. Tell the target until it answers, then retire what is left here.
 * - `close`: everything is done but the last line of the journal.
 * - `nothing`: it has ended.
 */
export type Resumption =
	| { action: "undo" }
	| { action: "forward" }
	| { action: "close"; state: "completed" | "failed" | "cancelled" }
	| { action: "nothing" };

/** The record decides, the journal only explains: a line that was not written yet changes nothing. */
export function decideResumption(
	record: OwnershipRecord | null,
	journal: readonly JournalEntry[],
	{ migrationId, epoch }: MoveFacts,
): Resumption {
	if (hasEnded(journal)) return { action: "nothing" };
	if (record?.role === "owner" && record.outgoing?.migrationId === migrationId) return { action: "undo" };
	if (record?.role === "released" && record.migrationId === migrationId) return { action: "forward" };
	const neverHandedOver = record?.role === "owner" && record.epoch < epoch;
	if (!neverHandedOver) return { action: "close", state: "completed" };
	return { action: "close", state: failureOf(journal)?.cancelled ? "cancelled" : "failed" };
}
