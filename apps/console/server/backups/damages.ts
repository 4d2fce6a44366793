import { maxDamagedPoints, maxDamages, type RepositoryDamage } from "@sterna/shared/backup";

type DamagedPoint = RepositoryDamage["points"][number];

/** Whether nothing was left out of what a scrub found: only then is a point that it does not name whole. */
export function tellsAll(damages: readonly RepositoryDamage[]): boolean {
	return damages.length < maxDamages && damages.every(({ points }) => points.length < maxDamagedPoints);
}

/**
 * What is damaged by the word of two scrubs of which neither has read everything since the other: what one of them found stays,
 * although the other does not tell of it. Of an object that both name, `found` has the word, and no point is lost. No longer
 * than a report may be; what is `known` goes first then. Pure.
 */
export function mergeDamages(
	known: readonly RepositoryDamage[],
	found: readonly RepositoryDamage[],
): RepositoryDamage[] {
	const merged = new Map(found.map((damage) => [damage.object, damage]));
	for (const damage of known) {
		const newer = merged.get(damage.object);
		merged.set(damage.object, newer ? { ...newer, points: mergePoints(damage.points, newer.points) } : damage);
	}
	return [...merged.values()].slice(0, maxDamages);
}

function mergePoints(known: readonly DamagedPoint[], found: readonly DamagedPoint[]): DamagedPoint[] {
	const key = ({ pointId, volumeId }: DamagedPoint) => `${pointId} ${volumeId}`;
	const named = new Set(found.map(key));
	return [...found, ...known.filter((point) => !named.has(key(point)))].slice(0, maxDamagedPoints);
}
