import { formatBytes } from "@sterna/shared/units";
import type { Volume } from "@sterna/shared/volume";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";

/**
 * What is otherwise than listed, a sentence for each disk: a change whose answer nobody heard was made all the same, or was
 * not. Pure. Empty: nothing.
 */
export function volumeNews(
	{ guest, host }: { guest: string; host: string },
	listed: readonly Volume[],
	held: readonly Volume[],
): string[] {
	const former = new Map(listed.map((volume) => [volume.id, volume]));
	const present = new Set(held.map(({ id }) => id));
	const gone = listed.filter(({ id }) => !present.has(id));
	return [
		...gone.map(
			({ pool, sizeBytes }) =>
				`${guest} has no disk of ${formatBytes(sizeBytes)} in pool ${pool}: it was asked for, and ${host} has not made it`,
		),
		...held.flatMap((volume) => {
			const before = former.get(volume.id);
			const size = formatBytes(volume.sizeBytes);
			if (!before) return [`${guest} has a disk of ${size} in pool ${volume.pool}, by the word of ${host}`];
			return [
				...(before.pool === volume.pool
					? []
					: [`a disk of ${guest} is in pool ${volume.pool} now, not in ${before.pool}`]),
				...(before.sizeBytes === volume.sizeBytes
					? []
					: [`a disk of ${guest} has ${size}, not ${formatBytes(before.sizeBytes)}`]),
			];
		}),
	];
}

/** Whether the guest's host tells of other disks than are listed, while nobody changes the guest. Pure. */
export function isDoubtful({ name, spec, existence, grant, reports }: GuestEntry, host: HostEntry): boolean {
	const report = reports.get(grant.ownerHostId);
	if (!host.connected || existence !== "present" || grant.permit !== null || !report?.volumes) return false;
	if (report.role !== "owner" || report.epoch !== grant.ownerEpoch) return false;
	return volumeNews({ guest: name, host: host.name }, spec.volumes, report.volumes).length > 0;
}
