import type { MigrationId } from "@sterna/shared/ids";

/** However old they are, this many of the latest are kept; however many there are, those of the last 30 days. */
const keptJournals = 200;
const keptForMs = 30 * 24 * 3_600_000;

/** The journals of ended moves that nobody is likely to ask for any more. `endedAtMs` by move. */
export function expiredJournals(endedAtMs: ReadonlyMap<MigrationId, number>, nowMs: number): MigrationId[] {
	const latestFirst = [...endedAtMs].sort(([, a], [, b]) => b - a);
	return latestFirst.slice(keptJournals).flatMap(([id, endedAt]) => (nowMs - endedAt > keptForMs ? [id] : []));
}
