import { RecoveryPoint } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { VolumeId } from "@sterna/shared/ids";
import { z } from "zod";
import { createRecord, ledgerKey, parseRecord, pointKey, putRecord, type RecordPlace } from "./records.ts";
import { type Reference, readReference, referenceBytes, writeReference } from "./reference.ts";

const ReferenceText = z.base64().transform((text, context): Reference => {
	const bytes = Buffer.from(text, "base64");
	try {
		const reference = bytes.length === referenceBytes ? readReference(bytes, 0) : null;
		if (reference) return reference;
	} catch {
		// Told below: the reason does not matter to who reads a sealed manifest.
	}
	context.addIssue({ code: "custom", message: "is not a reference" });
	return z.NEVER;
});

/** What stands at `points/<pointId>`: the point, or the mark that it can never be. Whoever creates it first wins, for ever. */
export const PointRecord = z.discriminatedUnion("is", [
	z.strictObject({ is: z.literal("abandoned") }),
	z
		.strictObject({
			is: z.literal("point"),
			point: RecoveryPoint,
			/** The tree of each volume; null: all zeros. */
			roots: z.array(z.strictObject({ volumeId: VolumeId, root: ReferenceText.nullable() })).max(16),
		})
		.refine(({ point, roots }) => sameMembers(point.volumes, roots), {
			message: "the volumes and their trees do not match",
		}),
]);
export type PointRecord = z.infer<typeof PointRecord>;
export type Manifest = Extract<PointRecord, { is: "point" }>;

/**
 * What stands at the point's key: its manifest, or the mark of an abandoned session.
 * @throws {SternaError} `not_found`; `invalid` naming the object when it is not as it was written, or is another point's.
 */
export async function readPoint(place: RecordPlace, pointId: PointId): Promise<PointRecord> {
	const key = pointKey(pointId);
	const record = parseRecord(place.sealing, key, await place.storage.get(key), PointRecord);
	if (record.is === "point" && record.point.pointId !== pointId) {
		throw new SternaError("invalid", `${key} holds the manifest of another point, ${record.point.pointId}`);
	}
	return record;
}

/** The object of a manifest as JSON, for `sealRecord`. */
export function manifestRecord(
	point: RecoveryPoint,
	roots: Map<VolumeId, Reference | null>,
): z.input<typeof PointRecord> {
	return {
		is: "point",
		point,
		roots: [...roots].map(([volumeId, root]) => ({ volumeId, root: root ? referenceText(root) : null })),
	};
}

/** Makes sure that the point can never be. @throws {SternaError} `conflict` when something stands there already. */
export async function createTombstone(place: RecordPlace, pointId: PointId): Promise<void> {
	await createRecord(place, pointKey(pointId), { is: "abandoned" });
	await putRecord(place, ledgerKey(pointId), { is: "abandoned" });
}

function referenceText(reference: Reference): string {
	const bytes = new Uint8Array(referenceBytes);
	writeReference(bytes, 0, reference);
	return Buffer.from(bytes).toString("base64");
}

function sameMembers(volumes: readonly { volumeId: VolumeId }[], roots: readonly { volumeId: VolumeId }[]): boolean {
	const ids = new Set(volumes.map(({ volumeId }) => volumeId));
	return (
		ids.size === volumes.length && roots.length === volumes.length && roots.every(({ volumeId }) => ids.has(volumeId))
	);
}
