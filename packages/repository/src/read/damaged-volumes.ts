import type { PointId, VolumeId } from "@sterna/shared/ids";
import type { Opened } from "../opened.ts";
import { walkPoint } from "../tree/walk.ts";
import { isUsable, readSuspects } from "../write/reusable.ts";
import { readVisiblePoint } from "./points.ts";

/** See `Repository.damagedVolumes`. */
export async function damagedVolumes(opened: Opened, pointId: PointId): Promise<VolumeId[]> {
	const suspects = await readSuspects(opened);
	if (suspects.size === 0) return [];
	const unusable = { condemned: new Set<never>(), suspects };
	const manifest = await readVisiblePoint(opened, pointId);
	const damaged = new Set<VolumeId>();
	const options = {
		signal: AbortSignal.any([]),
		enter: ({ volumeId }: { volumeId: VolumeId }) => !damaged.has(volumeId),
		unreadable: ({ volumeId }: { volumeId: VolumeId }) => void damaged.add(volumeId),
	};
	for await (const { reference, volumeId } of walkPoint(opened, manifest, options)) {
		if (!isUsable(unusable, reference)) damaged.add(volumeId);
	}
	return [...damaged];
}
