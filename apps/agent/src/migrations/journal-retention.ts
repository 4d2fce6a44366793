/** However old they are, this many of the latest are kept; however many there are, those of the last 30 days. */
const keptJournals = 200;
const keptForMs = 30 * 24 * 3_600_000;

/** The journals of ended tasks of one kind that nobody is likely to ask for any more. `endedAtMs` by task. */
export function expiredJournals<Id>(endedAtMs: ReadonlyMap<Id, number>, nowMs: number): Id[] {
	const latestFirst = [...endedAtMs].sort(([, a], [, b]) => b - a);
	return latestFirst.slice(keptJournals).flatMap(([id, endedAt]) => (nowMs - endedAt > keptForMs ? [id] : []));
}
