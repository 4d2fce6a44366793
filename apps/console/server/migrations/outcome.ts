import type { GuestGrant } from "@sterna/migration/grants";
import { endedMigrationStates, type MigrationReport, type MigrationState } from "@sterna/shared/migration";

/**
 * The state of a move as the console shows and keeps it. A move has ended when its source says so *and* its permit is
 * settled: whoever reads `completed` may move the guest again at once.
 */
export function decideOutcome(
	move: { id: string; targetHostId: string; epoch: number; report: Pick<MigrationReport, "state"> | null },
	grant: GuestGrant | null,
): MigrationState {
	const said = move.report?.state ?? "running";
	const settled = grant?.permit?.migrationId !== move.id;
	if (!settled) return endedMigrationStates.includes(said) ? "running" : said;
	if (!endedMigrationStates.includes(said)) return grant === null ? "failed" : "running";
	return said;
}
