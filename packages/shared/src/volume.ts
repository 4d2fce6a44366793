import { z } from "zod";
import { VolumeId } from "./ids.ts";
import { ResourceName } from "./names.ts";
import { MiB, TiB } from "./units.ts";

/** Where volumes live. Two hosts share a pool exactly when their pools carry the same `poolId`. */
export const StoragePool = z.strictObject({
	name: ResourceName,
	poolId: z.uuid(),
	kind: z.enum(["local", "shared"]),
	capacityBytes: z.int().min(0),
	freeBytes: z.int().min(0),
});
export type StoragePool = z.infer<typeof StoragePool>;

/** Size of a disk that a guest sees: whole mebibytes, 1 MiB to 64 TiB. */
export const VolumeSizeBytes = z
	.int()
	.min(MiB, "a volume has at least 1 MiB")
	.max(64 * TiB, "a volume has at most 64 TiB")
	.multipleOf(MiB, "a volume's size is whole mebibytes");

/** Ports that every guest has spare, for disks that are given to it while it runs. */
export const sparePortCount = 4;

/**
 * Where a volume sits in a running guest when that is not where its place in the spec puts it: it was attached or moved
 * since the start. A migration's target must seat it alike; after a restart it sits where its place in the spec says.
 */
export const VolumeSeat = z.strictObject({
	volumeId: VolumeId,
	/** Spare port that it was attached to; null for the slot of its place in the spec. */
	port: z
		.int()
		.min(0)
		.max(sparePortCount - 1)
		.nullable(),
	/** How often it went to another place under the running guest; the driver's name for it tells them apart. */
	moves: z.int().min(0).max(100_000),
});
export type VolumeSeat = z.infer<typeof VolumeSeat>;

/** A guest's disk. Volumes are always qcow2 and always opened with that format named. */
export const Volume = z.strictObject({
	id: VolumeId,
	pool: ResourceName,
	sizeBytes: VolumeSizeBytes,
	/** Image of the host's image folder whose content the new volume starts with; empty without. */
	fromImage: ResourceName.optional(),
});
export type Volume = z.infer<typeof Volume>;

/** A volume that is copied to another pool of its host. */
export const VolumeMove = z.strictObject({
	volumeId: VolumeId,
	toPool: ResourceName,
	/** Both 0 until the copy has begun; the whole may grow while the guest writes. */
	copiedBytes: z.int().min(0),
	totalBytes: z.int().min(0),
});
export type VolumeMove = z.infer<typeof VolumeMove>;
