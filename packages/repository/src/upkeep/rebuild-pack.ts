import { SternaError } from "@sterna/shared/errors";
import { sealedBatchBytes } from "../codec/jobs.ts";
import { type Forwarding, placeKey } from "../format/forwarding.ts";
import { frameKeyNumber, framesOf, maxFrameBlocks, openFrame } from "../format/frame.ts";
import {
	type DirectoryEntry,
	PackBuilder,
	packOverheadBytes,
	packTrailerBytes,
	parseDirectory,
	parseTrailer,
} from "../format/pack.ts";
import { newPackId, type PackId, packKind, packOwner } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { openBlocks } from "../read/open-blocks.ts";
import { plainBytesOf } from "../tree/geometry.ts";
import type { Place } from "./live-blocks.ts";

/** Frames that are opened, or made, at once. */
const framesAtOnce = 4;

/**
 * What is needed of a pack, as a new one that belongs to the round. Frames that are needed whole stay compressed as they are,
 * only the seal is made anew, under the new pack's key; what is needed of the others is framed anew. All of it is checked
 * first. Null when something needed is not as it was written.
 */
export async function rebuildPack(
	opened: Opened,
	{ packId, needed, roundId }: { packId: PackId; needed: readonly Place[]; roundId: string },
	bytes: Uint8Array,
): Promise<{ packId: PackId; bytes: Uint8Array; note: Forwarding } | null> {
	const plainBytes = plainBytesOf(packId, opened.config.blockSizeBytes);
	const entries = directoryOf(opened, packId, bytes, plainBytes);
	const sorted = entries && sortNeeded(entries, needed);
	if (!sorted) return null;
	const { whole, parts } = sorted;
	const wholeBytes = whole.reduce((sum, [first]) => sum + (first?.storedBytes ?? 0), 0);
	const partsBytes = sealedBatchBytes(parts.length, plainBytes);
	const blocks = parts.length + whole.reduce((sum, frame) => sum + frame.length, 0);
	const target = newPackId(packOwner(roundId), packKind(packId));
	const buffer = new Uint8Array(wholeBytes + partsBytes + packOverheadBytes(blocks));
	const pack = { opened, packId, bytes, plainBytes, builder: new PackBuilder(target, opened.sealing, buffer) };
	const note: Forwarding = new Map();
	for (let first = 0; first < whole.length; first += framesAtOnce) {
		const frames = whole.slice(first, first + framesAtOnce);
		// The seal does not know the hashes: a frame that stands in another's place opens all the same.
		if (!(await openNeeded(pack, frames.flat()))) return null;
		for (const frame of frames) {
			const moved = moveFrame(pack, frame);
			if (!moved) return null;
			noteAll(note, frame, moved);
		}
	}
	for (let first = 0; first < parts.length; first += framesAtOnce * maxFrameBlocks) {
		const some = parts.slice(first, first + framesAtOnce * maxFrameBlocks);
		const content = await openNeeded(pack, some);
		if (!content) return null;
		noteAll(note, some, await frameAnew(pack, some, content));
	}
	return { packId: target, bytes: pack.builder.finish(), note };
}

interface Rebuilding {
	opened: Opened;
	packId: PackId;
	bytes: Uint8Array;
	plainBytes: number;
	builder: PackBuilder;
}

/** Frames that are needed whole, and blocks of the others; null when the pack has no such block. */
function sortNeeded(
	entries: readonly DirectoryEntry[],
	needed: readonly Place[],
): { whole: DirectoryEntry[][]; parts: DirectoryEntry[] } | null {
	const byPlace = new Map(entries.map((entry) => [placeKey(entry), entry]));
	const found = new Map<number, DirectoryEntry>();
	for (const place of needed) {
		const entry = byPlace.get(placeKey(place));
		if (!entry) return null;
		found.set(placeKey(place), entry);
	}
	const whole: DirectoryEntry[][] = [];
	const parts: DirectoryEntry[] = [];
	for (const frame of Map.groupBy(found.values(), ({ offset }) => offset).values()) {
		if (frame.length === frame[0]?.frameBlocks) whole.push(frame.toSorted((a, b) => a.frameIndex - b.frameIndex));
		else parts.push(...frame);
	}
	return { whole, parts };
}

/** Null when the seal does not fit. @param frame all its blocks, in order */
function moveFrame(
	{ opened, packId, bytes, plainBytes, builder }: Rebuilding,
	frame: readonly DirectoryEntry[],
): Reference[] | null {
	const first = frame[0];
	if (!first) return null;
	const sealed = bytes.subarray(first.offset, first.offset + first.storedBytes);
	const key = opened.sealing.packKey(packId, frameKeyNumber(sealed) ?? -1);
	const shape = { compressed: first.compressed, plainBytes: frame.length * plainBytes };
	const payload = key && openFrame(key, sealed, { ...shape, blocks: frame.length });
	if (!payload) return null;
	const hashes = frame.map(({ hash }) => hash);
	return builder.seal(hashes, payload, shape);
}

/** The plain blocks, one after the other; null when one is not as it was written. */
async function openNeeded(
	{ opened, packId, bytes, plainBytes }: Rebuilding,
	blocks: readonly DirectoryEntry[],
): Promise<Uint8Array | null> {
	const offset = Math.min(...blocks.map((block) => block.offset));
	const end = Math.max(...blocks.map((block) => block.offset + block.storedBytes));
	const read = { bytes: new Uint8Array(bytes.subarray(offset, end)), offset };
	const room = new Uint8Array(blocks.length * plainBytes);
	const { content, damaged } = await openBlocks(opened, packId, read, blocks, room);
	return damaged.size > 0 ? null : content;
}

async function frameAnew(
	{ opened, plainBytes, builder }: Rebuilding,
	blocks: readonly DirectoryEntry[],
	content: Uint8Array,
): Promise<Reference[]> {
	const { key, keyNumber, ordinal } = builder.reserve(framesOf(blocks.length));
	const { sealed, stored } = await opened.codec.seal({
		is: "seal",
		blockSizeBytes: plainBytes,
		content,
		blocks: [...blocks.keys()],
		key,
		keyNumber,
		firstOrdinal: ordinal,
		sealed: new Uint8Array(sealedBatchBytes(blocks.length, plainBytes)),
	});
	let [at, first] = [0, 0];
	return stored.flatMap(({ storedBytes, compressed, blocks: count }) => {
		const frame = blocks.slice(first, first + count).map(({ hash }) => hash);
		const moved = builder.append(frame, sealed.subarray(at, at + storedBytes), compressed);
		at += storedBytes;
		first += count;
		return moved;
	});
}

function noteAll(note: Forwarding, from: readonly DirectoryEntry[], to: readonly Reference[]): void {
	for (const [index, entry] of from.entries()) {
		const reference = to[index];
		if (!reference) throw new SternaError("internal", "a block that was moved has no new place");
		const { hash: _, ...place } = reference;
		note.set(placeKey(entry), place);
	}
}

/** Null when it cannot be read. */
function directoryOf(opened: Opened, packId: PackId, bytes: Uint8Array, plainBytes: number): DirectoryEntry[] | null {
	try {
		const { offset, length } = parseTrailer(packId, bytes.length, bytes.subarray(-packTrailerBytes));
		const sealed = bytes.subarray(offset, offset + length);
		return parseDirectory(packId, opened.sealing, { sealed, offset, plainBytes });
	} catch (error) {
		if (error instanceof SternaError && error.code === "invalid") return null;
		throw error;
	}
}
