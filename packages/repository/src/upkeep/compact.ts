import { randomUUID } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { decodeForwarding, encodeForwarding, type Forwarding } from "../format/forwarding.ts";
import { type PackId, packKey } from "../format/pack-id.ts";
import { movedKey } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { Place } from "./live-blocks.ts";
import { rebuildPack } from "./rebuild-pack.ts";
import { nullIfGone } from "./small-object.ts";

/** Below this share of needed bytes a pack is written anew. */
const compactBelow = 0.5;

/** Whether so little of a pack is needed that moving it saves space. */
export function worthCompacting(packBytes: number, neededBytes: number, opened: Opened): boolean {
	return neededBytes < packBytes * compactBelow && packBytes - neededBytes >= opened.config.blockSizeBytes;
}

/**
 * Copies the needed blocks of a pack into a new one that belongs to the round, and leaves a note where they went. The new pack
 * is there before the note, the note before anyone deletes the old pack. When another collector left its note before, that
 * one holds. When a needed block cannot be read, which is a scrub's matter, the note says that nothing went: the pack stays,
 * and a collector that wakes up late does not move it after all.
 */
export async function compactPack(
	opened: Opened,
	pack: { packId: PackId; needed: readonly Place[]; roundId: string },
): Promise<{ note: Forwarding; storedBytes: number }> {
	const { storage, sealing } = opened;
	const key = movedKey(pack.packId);
	const readNote = async () => decodeForwarding(key, sealing.openObject(key, await storage.get(key)));
	const bytes = await storage.get(packKey(pack.packId)).catch(nullIfGone);
	// Another collector has just done all this.
	if (!bytes) return { note: (await readNote().catch(nullIfGone)) ?? new Map(), storedBytes: 0 };
	const built = await rebuildPack(opened, pack, bytes);
	if (built) await storage.put(packKey(built.packId), built.bytes);
	const note: Forwarding = built?.note ?? new Map();
	try {
		await storage.create(key, sealing.sealObject(key, encodeForwarding(note)));
		return { note, storedBytes: built?.bytes.length ?? 0 };
	} catch (error) {
		if (!(error instanceof SternaError) || error.code !== "conflict") throw error;
		return { note: (await readNote().catch(nullIfGone)) ?? new Map(), storedBytes: 0 };
	}
}

/** Whether everything that is needed of a damaged pack is whole: then it is moved, and the damage goes with the pack. */
export async function canBeMoved(opened: Opened, packId: PackId, needed: readonly Place[]): Promise<boolean> {
	const bytes = await opened.storage.get(packKey(packId)).catch(nullIfGone);
	return bytes !== null && (await rebuildPack(opened, { packId, needed, roundId: randomUUID() }, bytes)) !== null;
}
