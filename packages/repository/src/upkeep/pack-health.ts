import { SternaError } from "@sterna/shared/errors";
import { placeKey } from "../format/forwarding.ts";
import { frameKeyNumber, frameWord, maxFrameBlocks } from "../format/frame.ts";
import {
	checkHeader,
	type DirectoryEntry,
	packHeaderBytes,
	packTrailerBytes,
	parseDirectory,
	parseTrailer,
} from "../format/pack.ts";
import { type PackId, packKey } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { openBlocks } from "../read/open-blocks.ts";
import { plainBytesOf } from "../tree/geometry.ts";
import { nullIfGone } from "./small-object.ts";

/** Plain bytes that are opened at once. */
const batchBytes = 4 * 1024 * 1024;
const keyNumberAt = 5;

/** What a scrub found in one pack. */
export interface PackHealth {
	/** Why the pack is not as it was written; null when every byte of it is. */
	text: string | null;
	/** Hashes of blocks that are damaged, as far as its directory tells. */
	damaged: Uint8Array[];
	/** Whether the block is there, as the reference says, and was opened; `unknown` when the directory cannot be read: then only a try tells. */
	holds(reference: Reference): "yes" | "no" | "unknown";
}

/** Reads a whole pack and opens every block of it. Null when it is not there. @throws {SternaError} those of the storage. */
export async function examinePack(opened: Opened, packId: PackId): Promise<PackHealth | null> {
	const bytes = await opened.storage.get(packKey(packId)).catch(nullIfGone);
	if (!bytes) return null;
	let entries: DirectoryEntry[];
	try {
		checkHeader(packId, bytes.subarray(0, packHeaderBytes));
		const { offset, length } = parseTrailer(packId, bytes.length, bytes.subarray(-packTrailerBytes));
		const directory = bytes.subarray(offset, offset + length);
		const plainBytes = plainBytesOf(packId, opened.config.blockSizeBytes);
		entries = parseDirectory(packId, opened.sealing, { sealed: directory, offset, plainBytes });
		if (frameKeyNumber(directory) !== bytes[keyNumberAt])
			throw new SternaError("invalid", "its header names another key");
	} catch (error) {
		if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
		return { text: error.message, damaged: [], holds: () => "unknown" };
	}
	const damaged = await openAll(opened, packId, bytes, entries);
	const good = entries.filter((_, index) => !damaged.has(index));
	const places = Float64Array.from(good, placeKey);
	const words = Uint32Array.from(good, frameWord);
	const heads = Uint32Array.from(good, ({ hash }) => headOf(hash));
	return {
		text: damaged.size === 0 ? null : `${damaged.size} of its ${entries.length} blocks are not as they were written`,
		damaged: entries.filter((_, index) => damaged.has(index)).map(({ hash }) => hash),
		holds: (reference) => {
			const index = indexOf(places, placeKey(reference));
			if (index === null || words[index] !== frameWord(reference)) return "no";
			return heads[index] === headOf(reference.hash) ? "yes" : "no";
		},
	};
}

/** Indexes of the entries whose blocks are not as they were written. */
async function openAll(
	opened: Opened,
	packId: PackId,
	bytes: Uint8Array,
	entries: readonly DirectoryEntry[],
): Promise<Set<number>> {
	const plainBytes = plainBytesOf(packId, opened.config.blockSizeBytes);
	const perBatch = Math.max(maxFrameBlocks, Math.floor(batchBytes / plainBytes));
	const damaged = new Set<number>();
	for (let first = 0, next = 0; first < entries.length; first = next) {
		next = Math.min(first + perBatch, entries.length);
		// Whole frames only: the last may begin in this batch and end behind it. It has 4 blocks at most, a batch as many at least.
		next -= entries[next]?.frameIndex ?? 0;
		const batch = entries.slice(first, next);
		const offset = batch[0]?.offset ?? 0;
		const last = batch.at(-1);
		const sealed = new Uint8Array(bytes.subarray(offset, last ? last.offset + last.storedBytes : offset));
		const room = new Uint8Array(batch.length * plainBytes);
		const result = await openBlocks(opened, packId, { bytes: sealed, offset }, batch, room);
		for (const index of result.damaged) damaged.add(first + index);
	}
	return damaged;
}

function headOf(hash: Uint8Array): number {
	return ((hash[0] ?? 0) | ((hash[1] ?? 0) << 8) | ((hash[2] ?? 0) << 16) | ((hash[3] ?? 0) << 24)) >>> 0;
}

/** Where a number stands in a rising list; null when it does not. */
function indexOf(rising: Float64Array, wanted: number): number | null {
	let [low, high] = [0, rising.length - 1];
	while (low <= high) {
		const middle = (low + high) >> 1;
		const value = rising[middle] ?? 0;
		if (value === wanted) return middle;
		if (value < wanted) low = middle + 1;
		else high = middle - 1;
	}
	return null;
}
