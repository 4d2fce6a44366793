import { maxDamagedPoints, maxDamages, type RepositoryDamage } from "@sterna/shared/backup";
import type { PointId, VolumeId } from "@sterna/shared/ids";

type DamagedPoint = RepositoryDamage["points"][number];
/** Whose point it is; as far as it can still be known. */
export type Owner = Pick<DamagedPoint, "pointId" | "guestId" | "guestName">;

const maxRanges = 100;

/** What a scrub has found so far, one entry for each object, whatever hits it. */
export class Findings {
	readonly #texts = new Map<string, string>();
	readonly #points = new Map<string, Map<string, DamagedPoint>>();

	get count(): number {
		return this.#texts.size;
	}

	/** The first text of an object stays: it is the nearest to the cause. */
	add(object: string, text: string): void {
		if (!this.#texts.has(object)) this.#texts.set(object, text.slice(0, 500));
	}

	/** What cannot be restored because of this object; ranges of one disk come in rising order. No volume: the whole point. */
	hits(object: string, owner: Owner, hit: { volumeId: VolumeId; from: number; to: number } | null): void {
		const points = this.#points.get(object) ?? new Map<string, DamagedPoint>();
		this.#points.set(object, points);
		const name = `${owner.pointId} ${hit?.volumeId ?? ""}`;
		const point = points.get(name) ?? { ...owner, volumeId: hit?.volumeId ?? null, ranges: [] };
		points.set(name, point);
		if (!hit) return;
		const last = point.ranges.at(-1);
		if (last && (hit.from <= last.to || point.ranges.length === maxRanges)) last.to = Math.max(last.to, hit.to);
		else point.ranges.push({ from: hit.from, to: hit.to });
	}

	/** Points that nobody sees any more are nobody's damage. */
	forget(pointId: PointId): void {
		for (const points of this.#points.values()) {
			for (const [name, point] of points) if (point.pointId === pointId) points.delete(name);
		}
	}

	/** What hits points first: where not all can be told, that is what people must hear of. */
	damages(): RepositoryDamage[] {
		const all = [...this.#texts].map(([object, text]) => ({
			object,
			text,
			points: [...(this.#points.get(object)?.values() ?? [])],
		}));
		return all
			.sort((a, b) => Number(b.points.length > 0) - Number(a.points.length > 0))
			.slice(0, maxDamages)
			.map((damage) => ({ ...damage, points: damage.points.slice(0, maxDamagedPoints) }));
	}
}
