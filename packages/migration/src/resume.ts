import { SternaError } from "@sterna/shared/errors";
import type { MigrationReport } from "@sterna/shared/migration";
import { failureOf, hasEnded } from "./journal.ts";
import type { Move } from "./move.ts";
import { settle } from "./run.ts";

/**
 * Takes a move up again after the source's agent restarted. `move` carries the journal of the former life.
 * Fulfilled with the last report, as `runMigration`.
 */
export async function resumeMigration(move: Move): Promise<MigrationReport> {
	if (hasEnded(move.journal)) return move.report();
	const { code, message, cure } = failureOf(move.journal)?.error ?? interrupted;
	return settle(move, new SternaError(code, message, cure ? { cure } : {}));
}

const interrupted = {
	code: "unavailable",
	message: "the agent of the source ended during the migration",
	cure: "try the migration again",
} as const;
