import { SternaError } from "@sterna/shared/errors";
import type { MigrationReport } from "@sterna/shared/migration";
import type { OwnershipRecord } from "./handover.ts";
import { failureOf, type JournalEntry, type MoveFacts } from "./journal.ts";
import type { Move } from "./move.ts";
import { abandon, end, goForward, unwind } from "./run.ts";

/**
 * What a restarted agent does about a move in its journal.
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
	if (journal.some((entry) => entry.type === "ended")) return { action: "nothing" };
	if (record?.role === "owner" && record.outgoing?.migrationId === migrationId) return { action: "undo" };
	if (record?.role === "released" && record.migrationId === migrationId) return { action: "forward" };
	const neverHandedOver = record?.role === "owner" && record.epoch < epoch;
	if (!neverHandedOver) return { action: "close", state: "completed" };
	return { action: "close", state: failureOf(journal)?.cancelled ? "cancelled" : "failed" };
}

/**
 * Takes a move up again after the source's agent restarted. `move` carries the journal of the former life.
 * Fulfilled with the last report, as `runMigration`.
 */
export async function resumeMigration(move: Move): Promise<MigrationReport> {
	const record = await move.ports.records.read(move.facts.guestId);
	const resumption = decideResumption(record, move.journal, move.facts);
	switch (resumption.action) {
		case "nothing":
			return move.report();
		case "close":
			return end(move, resumption.state);
		case "undo": {
			move.remark("the agent of the source started again before the guest was handed over: undoing");
			await abandon(move);
			const former = failureOf(move.journal);
			const reason = former ? SternaError.fromWire(former.error) : interrupted();
			return unwind(move, reason);
		}
		case "forward":
			move.remark("the agent of the source started again after the guest was handed over: going forward");
			move.setInDoubt(true);
			await goForward(move);
			return end(move, "completed");
	}
}

function interrupted(): SternaError {
	return new SternaError("unavailable", "the agent of the source ended during the migration", {
		cure: "try the migration again",
	});
}
