import type { RecoveryPoint } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { type Manifest, readPoint } from "../format/manifest.ts";
import { pointIdOfKey, pointsPrefix, prunedKey, prunedPrefix, type RecordPlace } from "../format/records.ts";

const readsInFlight = 8;

export interface VisiblePoints {
	points: RecoveryPoint[];
	unreadable: { pointId: PointId; reason: string }[];
}

/** Every visible point: a manifest stands at its key, and it is not pruned. */
export async function listPoints(place: RecordPlace): Promise<VisiblePoints> {
	const ids: PointId[] = [];
	for await (const { key } of place.storage.list(pointsPrefix)) {
		const pointId = pointIdOfKey(pointsPrefix, key);
		if (pointId) ids.push(pointId);
	}
	// After the points, so that one that is pruned meanwhile is not shown.
	const pruned = new Set<PointId>();
	for await (const { key } of place.storage.list(prunedPrefix)) {
		const pointId = pointIdOfKey(prunedPrefix, key);
		if (pointId) pruned.add(pointId);
	}
	const found: VisiblePoints = { points: [], unreadable: [] };
	const next = ids.filter((pointId) => !pruned.has(pointId)).values();
	const read = async () => {
		for (const pointId of next) {
			try {
				const record = await readPoint(place, pointId);
				if (record.is === "point") found.points.push(record.point);
			} catch (error) {
				if (!(error instanceof SternaError)) throw error;
				if (error.code === "invalid") found.unreadable.push({ pointId, reason: error.message });
				else if (error.code !== "not_found") throw error;
			}
		}
	};
	await Promise.all(Array.from({ length: readsInFlight }, read));
	return found;
}

/** @throws {SternaError} `not_found` when there is no such point, or it is pruned or abandoned; `invalid` when it is damaged. */
export async function readVisiblePoint(place: RecordPlace, pointId: PointId): Promise<Manifest> {
	// The mark first: a collection removes it last, so a manifest that is there when no mark was is one that nobody frees.
	const pruned = (await place.storage.size(prunedKey(pointId))) !== null;
	const record = pruned ? null : await readPoint(place, pointId).catch(nullIfGone);
	if (record?.is === "point") return record;
	throw noSuchPoint(pointId);
}

export function noSuchPoint(pointId: PointId): SternaError {
	return new SternaError("not_found", `there is no recovery point ${pointId} in this repository`);
}

function nullIfGone(error: unknown): null {
	if (error instanceof SternaError && error.code === "not_found") return null;
	throw error;
}
