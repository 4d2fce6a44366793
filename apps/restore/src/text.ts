import type { RecoveryPoint } from "@sterna/shared/backup";
import { formatBytes } from "@sterna/shared/units";

/** What JSON says of a point. */
export function describePoint(point: RecoveryPoint) {
	const { pointId, guestId, guestName, takenAt, consistency, parentPointId, spec } = point;
	const volumes = point.volumes.map(({ volumeId, sizeBytes }) => ({ volumeId, sizeBytes }));
	return { pointId, guestId, guestName, takenAt, consistency, parentPointId, volumes, spec };
}

/** A table for a person: one line per point, its disks below it. */
export function pointLines(points: readonly RecoveryPoint[]): string[] {
	if (points.length === 0) return ["The repository holds no recovery point."];
	return points.flatMap(({ pointId, guestName, takenAt, consistency, volumes }) => [
		`${timeText(takenAt)}  ${pointId}  ${guestName}  ${consistency}`,
		...volumes.map(({ volumeId, sizeBytes }) => `    disk ${volumeId}  ${formatBytes(sizeBytes)}`),
	]);
}

/** A host's clock may have said anything. */
function timeText(atMs: number): string {
	const date = new Date(atMs);
	return Number.isNaN(date.getTime()) ? "at an impossible time  " : date.toISOString();
}
