import type { ReadReason, RecoveryPoint } from "@sterna/shared/backup";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import { KiB } from "@sterna/shared/units";

/** What one bit of a bitmap stands for. Blocks of the repository and bits of the bitmaps are read by the same measure. */
export const trackedBytes = 64 * KiB;

const prefix = "st-";

/** The bitmap that begins at a point's instant: at most 31 characters, as the driver takes them. */
export function bitmapName(pointId: PointId): string {
	return prefix + pointId.replaceAll("-", "").slice(0, 28);
}

/** What the driver tracks of one volume (`VolumeTracking` of the hypervisor's contract). */
export interface TrackedVolume {
	volumeId: VolumeId;
	sizeBytes: number;
	allocatedBytes: number;
	bitmaps: readonly {
		name: string;
		granularityBytes: number;
		recording: boolean;
		inconsistent: boolean;
		dirtyBytes: number;
	}[];
}

export interface ChainFacts {
	/** Every visible point of this guest in this repository, in any order. */
	points: readonly RecoveryPoint[];
	/** The points of this guest in this repository that this host remembers to have made, visible or not. */
	remembered: readonly PointId[];
	/** These volumes of these points refer to blocks that cannot be read, also where they inherited them. */
	damaged: readonly { pointId: PointId; volumeId: VolumeId }[];
	/** The guest's volumes as they are now. */
	volumes: readonly TrackedVolume[];
	readWhole: boolean;
}

export interface VolumeRead {
	volumeId: VolumeId;
	sizeBytes: number;
	read: "changes" | "whole";
	reason: ReadReason;
	/** What will be read, as far as it is known before. */
	readBytes: number;
	/** The bitmap that says what changed since the parent; null when everything is read. */
	since: string | null;
	/** Whether what is not written is the parent's; else it is zeros. */
	inherit: boolean;
	/** Bitmaps of this chain that nothing will ever be read by: to be removed. */
	stale: string[];
}

export interface ChainPlan {
	parentPointId: PointId | null;
	volumes: VolumeRead[];
}

/**
 * What the next run of a guest reads, and why. The changes alone are read only by a bitmap that began exactly at the
 * parent's instant and has recorded every write since; everything else is read whole, with the reason.
 *
 * The parent is the point by whose bitmaps the most volumes can be read so, which after a regular run is the newest.
 * Clocks decide only between points that are equal in that, so that a clock that jumped never makes a chain whole.
 */
export function planChain(facts: ChainFacts): ChainPlan {
	const parent = chooseParent(facts);
	const ofThisChain = new Set([...facts.points.map(({ pointId }) => pointId), ...facts.remembered].map(bitmapName));
	const volumes = facts.volumes.map((volume): VolumeRead => {
		const { volumeId, sizeBytes } = volume;
		const reason = reasonFor(volume, parent, facts);
		const read = reason === "unchangedChain" ? "changes" : "whole";
		const since = read === "changes" && parent ? bitmapName(parent.pointId) : null;
		const bitmap = volume.bitmaps.find(({ name }) => name === since);
		return {
			volumeId,
			sizeBytes,
			read,
			reason,
			readBytes: Math.min(sizeBytes, bitmap?.dirtyBytes ?? volume.allocatedBytes),
			since,
			inherit: read === "changes",
			stale: volume.bitmaps.flatMap(({ name }) => (name !== since && ofThisChain.has(name) ? [name] : [])),
		};
	});
	return { parentPointId: parent?.pointId ?? null, volumes };
}

function chooseParent({ points, volumes }: ChainFacts): RecoveryPoint | null {
	const parents = new Set(points.map(({ parentPointId }) => parentPointId));
	const rank = (point: RecoveryPoint) => {
		const tracked = volumes.filter((volume) => hasSoundBitmap(volume, point)).length;
		const isTip = parents.has(point.pointId) ? 0 : 1;
		return [tracked, isTip, point.takenAt] as const;
	};
	return points.reduce<RecoveryPoint | null>((best, point) => {
		if (best === null) return point;
		const [a, b] = [rank(point), rank(best)];
		const at = a.findIndex((value, index) => value !== b[index]);
		if (at === -1) return point.pointId > best.pointId ? point : best;
		return (a[at] ?? 0) > (b[at] ?? 0) ? point : best;
	}, null);
}

function reasonFor(volume: TrackedVolume, parent: RecoveryPoint | null, facts: ChainFacts): ReadReason {
	if (facts.readWhole) return "askedFor";
	const visible = new Set(facts.points.map(({ pointId }) => pointId));
	const gone = facts.remembered.filter((pointId) => !visible.has(pointId)).map(bitmapName);
	const hasBitmapOfGone = volume.bitmaps.some(({ name }) => gone.includes(name));
	if (!parent) return gone.length > 0 ? "lastPointGone" : "firstBackup";
	const saved = parent.volumes.find(({ volumeId }) => volumeId === volume.volumeId);
	if (!saved) return "newVolume";
	const { pointId } = parent;
	if (facts.damaged.some((one) => one.pointId === pointId && one.volumeId === volume.volumeId))
		return "lastPointDamaged";
	if (volume.sizeBytes < saved.sizeBytes) return "volumeShrunk";
	const bitmap = volume.bitmaps.find(({ name }) => name === bitmapName(parent.pointId));
	if (bitmap) return isSound(bitmap) ? "unchangedChain" : "bitmapInconsistent";
	if (hasBitmapOfGone) return "lastPointGone";
	return volume.bitmaps.some(({ name }) => name.startsWith(prefix)) ? "bitmapOfOtherPoint" : "bitmapMissing";
}

function hasSoundBitmap(volume: TrackedVolume, point: RecoveryPoint): boolean {
	if (!point.volumes.some(({ volumeId }) => volumeId === volume.volumeId)) return false;
	return volume.bitmaps.some((bitmap) => bitmap.name === bitmapName(point.pointId) && isSound(bitmap));
}

/** A bitmap that has recorded every write since it began, in blocks that this version reads by. */
function isSound(bitmap: TrackedVolume["bitmaps"][number]): boolean {
	return bitmap.recording && !bitmap.inconsistent && bitmap.granularityBytes === trackedBytes;
}
