import type { PointReader, Repository } from "@sterna/repository/repository";
import type { RecoveryPoint } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";

export interface VerifiedPoint {
	pointId: PointId;
	guestName: string;
	readBytes: number;
	/** Which bytes cannot be read, as a sentence; null when all can. */
	damage: string | null;
}

/**
 * Reads points wholly and checks every byte. Changes nothing. A point whose manifest cannot be read is a damaged one.
 * @throws {SternaError} `not_found` for a point that is not there; those of the storage: out of reach is no damage.
 */
export async function verifyPoints(
	repository: Pick<Repository, "points" | "openPoint">,
	wanted: readonly PointId[] | "all" | "newest",
	onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<{ points: VerifiedPoint[] }> {
	const known = await repository.points();
	const asked = (pointId: PointId) => typeof wanted === "string" || wanted.includes(pointId);
	const points = known.unreadable.filter(({ pointId }) => asked(pointId)).map(withoutManifest);
	const pointIds = typeof wanted === "string" ? choose(known.points, wanted) : wanted;
	for (const pointId of pointIds) {
		if (points.some((point) => point.pointId === pointId)) continue;
		const reader = await repository.openPoint(pointId);
		points.push(await verifyPoint(reader, onProgress));
		await reader.close();
	}
	return { points };
}

function withoutManifest({ pointId, reason }: { pointId: PointId; reason: string }): VerifiedPoint {
	return { pointId, guestName: "unknown", readBytes: 0, damage: reason };
}

function choose(points: readonly RecoveryPoint[], which: "all" | "newest"): PointId[] {
	const newestFirst = points.toSorted((a, b) => b.takenAt - a.takenAt);
	const seen = new Set<string>();
	return newestFirst
		.filter(({ guestId }) => {
			const isNewest = !seen.has(guestId);
			seen.add(guestId);
			return which === "all" || isNewest;
		})
		.map(({ pointId }) => pointId);
}

async function verifyPoint(
	reader: PointReader,
	onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<VerifiedPoint> {
	const { pointId, guestName, volumes } = reader.point;
	let readBytes = 0;
	for (const { volumeId } of volumes) {
		const sink = async (_offset: number, data: Uint8Array) => {
			readBytes += data.length;
		};
		const options = {
			signal: AbortSignal.any([]),
			onProgress: ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
				onProgress(doneBytes, totalBytes),
		};
		try {
			await reader.restore(volumeId, sink, options);
		} catch (error) {
			if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
			return { pointId, guestName, readBytes, damage: error.message };
		}
	}
	return { pointId, guestName, readBytes, damage: null };
}
