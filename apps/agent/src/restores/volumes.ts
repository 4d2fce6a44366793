import { access, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { VolumeLocation } from "@sterna/hypervisor/hypervisor";
import type { VolumeId } from "@sterna/shared/ids";
import type { AgentContext } from "../context.ts";
import { asideOf, asidePath } from "../guests/lacking.ts";
import type { RestoreFacts } from "./journal.ts";

/** One volume that is restored: where it is going to be, where it is made, and where what was there before is kept. */
export interface RestoredVolume extends VolumeLocation {
	sizeBytes: number;
	made: VolumeLocation;
	aside: VolumeLocation;
}

export function restoredVolumes(context: Pick<AgentContext, "places">, facts: RestoreFacts): RestoredVolume[] {
	const { spec, volumes, restoreId } = facts;
	const located = new Map(context.places.volumes(spec).map(({ volumeId, path }) => [volumeId, path]));
	return volumes.flatMap(({ to }) => {
		const path = located.get(to);
		const volume = spec.volumes.find(({ id }) => id === to);
		if (path === undefined || !volume) return [];
		return [
			{
				volumeId: to,
				path,
				sizeBytes: volume.sizeBytes,
				made: { volumeId: to, path: `${path}.made-${restoreId}` },
				aside: { volumeId: to, path: asidePath(path, restoreId) },
			},
		];
	});
}

/** Puts the made volumes into place and what was there before aside. Done before, wholly or in part: goes on. */
export async function placeVolumes(volumes: readonly RestoredVolume[]): Promise<void> {
	for (const { path, made, aside } of volumes) {
		// What is made is there until it has taken its place, so this tells how far an earlier try came.
		if (!(await exists(made.path))) continue;
		if ((await exists(path)) && !(await exists(aside.path))) await rename(path, aside.path);
		await rename(made.path, path);
		await syncFolder(dirname(path));
	}
}

/**
 * As it was before: what was put aside is back in its place, what was restored is gone. Done before, wholly or in part: goes
 * on. A volume that `had` a file before is never deleted, only put back: once it is home nothing tells it from a restored one.
 */
export async function takeBack(volumes: readonly RestoredVolume[], had: ReadonlySet<VolumeId>): Promise<void> {
	for (const { volumeId, path, made, aside } of volumes) {
		if (await exists(aside.path)) await rename(aside.path, path);
		else if (!had.has(volumeId) && !(await exists(made.path))) await rm(path, { force: true });
		await rm(made.path, { force: true });
		await syncFolder(dirname(path));
	}
}

/** What was there before goes, also what restores before this one had put aside and were given up. */
export async function dropAside(context: Pick<AgentContext, "places">, facts: RestoreFacts): Promise<void> {
	for (const { aside } of restoredVolumes(context, facts)) await rm(aside.path, { force: true });
	if (!facts.before) return;
	for (const { path } of asideOf(facts.beforeLacking, context.places.volumes(facts.before)))
		await rm(path, { force: true });
}

export async function dropMade(volumes: readonly RestoredVolume[]): Promise<void> {
	for (const { made } of volumes) {
		await rm(made.path, { force: true });
		await rm(`${made.path}.partial`, { force: true });
	}
}

async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, "r");
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}
