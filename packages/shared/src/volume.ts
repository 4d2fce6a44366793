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

/** A guest's disk. Volumes are always qcow2 and always opened with that format named. */
export const Volume = z.strictObject({
	id: VolumeId,
	pool: ResourceName,
	sizeBytes: VolumeSizeBytes,
	/** Image of the host's image folder whose content the new volume starts with; empty without. */
	fromImage: ResourceName.optional(),
});
export type Volume = z.infer<typeof Volume>;
