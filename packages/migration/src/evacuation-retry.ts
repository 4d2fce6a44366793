/** An evacuation that ended although guests were left. */
export interface IncompleteEvacuation {
	endedAt: number;
	/** How often in a row the host was not emptied. */
	tries: number;
}

/** What lets a guest leave must stand this long: a host that has just come back may go again. */
const standsMs = 15_000;
const firstRetryMs = 60_000;
const rarestRetryMs = 30 * 60_000;

/**
 * When the guests that were left are tried again: not before one of them could leave, and ever more rarely, so that a guest
 * whose moves fail for a reason that no plan sees is not paused again and again. Milliseconds since 1970.
 * @param possibleSince Since when at least one of them has a place.
 */
export function retryAt({ endedAt, tries }: IncompleteEvacuation, possibleSince: number): number {
	const dampedMs = Math.min(firstRetryMs * 2 ** Math.max(0, tries - 1), rarestRetryMs);
	return Math.max(possibleSince + standsMs, endedAt + dampedMs);
}
