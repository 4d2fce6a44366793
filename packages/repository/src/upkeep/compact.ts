import { randomUUID } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { blockKeyNumber, openBlock } from "../format/block.ts";
import { decodeForwarding, encodeForwarding, type Forwarding } from "../format/forwarding.ts";
import {
	type DirectoryEntry,
	PackBuilder,
	packFrameBytes,
	packTrailerBytes,
	parseDirectory,
	parseTrailer,
} from "../format/pack.ts";
import { newPackId, type PackId, packKey, packKind, packOwner } from "../format/pack-id.ts";
import { movedKey } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { nodeBytes } from "../tree/geometry.ts";
import type { Place } from "./live-blocks.ts";
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
	const built = await rebuild(opened, pack, bytes);
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
	return bytes !== null && (await rebuild(opened, { packId, needed, roundId: randomUUID() }, bytes)) !== null;
}

/** Payloads stay compressed; only the seal is made anew, under the new pack's key. */
async function rebuild(
	opened: Opened,
	{ packId, needed, roundId }: { packId: PackId; needed: readonly Place[]; roundId: string },
	bytes: Uint8Array,
): Promise<{ packId: PackId; bytes: Uint8Array; note: Forwarding } | null> {
	const { sealing, config } = opened;
	const entries = directoryOf(opened, packId, bytes);
	if (!entries) return null;
	const byOffset = new Map(entries.map((entry) => [entry.offset, entry]));
	const blockBytes = needed.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
	const target = newPackId(packOwner(roundId), packKind(packId));
	const builder = new PackBuilder(target, sealing, new Uint8Array(blockBytes + packFrameBytes(needed.length)));
	const plainBytes = packKind(packId) === "tree" ? nodeBytes : config.blockSizeBytes;
	const note: Forwarding = new Map();
	for (const { offset, storedBytes } of needed) {
		const entry = byOffset.get(offset);
		const sealed = bytes.subarray(offset, offset + storedBytes);
		const key = sealing.packKey(packId, blockKeyNumber(sealed) ?? -1);
		if (!entry || entry.storedBytes !== storedBytes || !key) return null;
		const payload = openBlock(key, sealed, { hash: entry.hash, compressed: entry.compressed, plainBytes });
		if (!payload) return null;
		const moved = builder.seal(entry.hash, payload, { compressed: entry.compressed, plainBytes });
		note.set(offset, { packId: target, offset: moved.offset });
	}
	return { packId: target, bytes: builder.finish(), note };
}

/** Null when it cannot be read. */
function directoryOf(opened: Opened, packId: PackId, bytes: Uint8Array): DirectoryEntry[] | null {
	try {
		const { offset, length } = parseTrailer(packId, bytes.length, bytes.subarray(-packTrailerBytes));
		return parseDirectory(packId, opened.sealing, bytes.subarray(offset, offset + length), offset);
	} catch (error) {
		if (error instanceof SternaError && error.code === "invalid") return null;
		throw error;
	}
}
