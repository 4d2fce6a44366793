import { decodeForwarding, type Forwarding, placeKey } from "../format/forwarding.ts";
import type { Manifest } from "../format/manifest.ts";
import type { PackId } from "../format/pack-id.ts";
import { movedKey, movedPrefix, packIdUnder } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";
import { NodeSource } from "../tree/node-source.ts";
import { type NeededReference, walkPoint } from "../tree/walk.ts";
import { LiveBlocks } from "./live-blocks.ts";
import { nullIfGone } from "./small-object.ts";

/** What points need, and where compaction has put it. */
export interface Marked {
	live: LiveBlocks;
	notes: Map<PackId, Forwarding>;
}

/**
 * Everything that the trees of `roots` refer to, where they say it is, and also where notes say it is now. A node that many
 * points share is read once. @throws {SternaError} `invalid` when a tree or note cannot be read: then nothing may be deleted.
 */
export async function mark(opened: Opened, roots: readonly Manifest[], options: UpkeepOptions): Promise<Marked> {
	const live = new LiveBlocks();
	const nodes = new NodeSource(opened);
	const seen = new Set<string>();
	const totalBytes = roots.reduce((sum, { point }) => sum + sizeOf(point), 0);
	let doneBytes = 0;
	const enter = ({ reference }: NeededReference) => {
		const name = Buffer.from(reference.hash).toString("latin1");
		if (seen.has(name)) return false;
		seen.add(name);
		return true;
	};
	for (const manifest of roots) {
		for await (const { reference } of walkPoint(opened, manifest, { signal: options.signal, enter, nodes })) {
			live.add(reference);
		}
		doneBytes += sizeOf(manifest.point);
		options.onProgress?.({ totalBytes, doneBytes });
	}
	const notes = await readNotes(opened);
	follow(live, notes);
	return { live, notes };
}

/** All forwarding notes. @throws {SternaError} `invalid` naming one that is not as it was written. */
export async function readNotes(opened: Opened): Promise<Map<PackId, Forwarding>> {
	const notes = new Map<PackId, Forwarding>();
	for await (const { key } of opened.storage.list(movedPrefix)) {
		const packId = packIdUnder(movedPrefix, key);
		if (!packId) continue;
		const bytes = await opened.storage.get(movedKey(packId)).catch(nullIfGone);
		if (bytes) notes.set(packId, decodeForwarding(key, opened.sealing.openObject(key, bytes)));
	}
	return notes;
}

/** What is needed in a pack that was compacted is needed where it is now. */
function follow(live: LiveBlocks, notes: Map<PackId, Forwarding>): void {
	const waiting = live.packs();
	for (let packId = waiting.pop(); packId !== undefined; packId = waiting.pop()) {
		const note = notes.get(packId);
		if (!note) continue;
		const targets = new Set<PackId>();
		for (const place of live.of(packId)) {
			const to = note.get(placeKey(place));
			if (!to) continue;
			live.add(to);
			targets.add(to.packId);
		}
		waiting.push(...targets);
	}
}

function sizeOf(point: Manifest["point"]): number {
	return point.volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
