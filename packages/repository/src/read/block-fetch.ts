import type { KeyObject } from "node:crypto";
import { blockKeyNumber } from "../format/block.ts";
import { hashBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { type PlannedRead, planReads, type WantedBlock } from "./read-plan.ts";

/** Blocks that were read and checked, in the order of the disk, one after the other in `content`. */
export interface FetchedBlocks {
	content: Uint8Array;
	blocks: number[];
}

export interface Fetched {
	/** At least one, where a pack was compacted meanwhile more. */
	pieces: FetchedBlocks[];
	/** Blocks that are not as they were written, wherever they were looked for. */
	damaged: WantedBlock[];
}

/**
 * Reads, opens and checks the blocks of one planned read. What is not found, or not as it was written, is looked for where a
 * compaction has put it.
 * @param buffer gives room for the plain blocks
 * @throws {SternaError} those of the storage: out of reach is no damage.
 */
export async function fetchBlocks(
	opened: Opened,
	read: PlannedRead,
	buffer: (lengthBytes: number) => Uint8Array,
): Promise<Fetched> {
	const fetched: Fetched = { pieces: [], damaged: [] };
	// Where a note leads to may have been compacted since the note was read: so each place is followed until none leads on.
	for (let reads = [read]; reads.length > 0; ) {
		const elsewhere: WantedBlock[] = [];
		for (const planned of reads) {
			const { pieces, damaged } = await fetchPlaced(opened, planned, buffer);
			fetched.pieces.push(...pieces);
			for (const lost of damaged) {
				const moved = await opened.packs.moved(lost.reference);
				if (moved) elsewhere.push({ block: lost.block, reference: moved });
				else fetched.damaged.push(lost);
			}
		}
		reads = planReads(elsewhere, opened.config.blockSizeBytes);
	}
	return fetched;
}

async function fetchPlaced(
	opened: Opened,
	{ packId, offset, length, wanted }: PlannedRead,
	buffer: (lengthBytes: number) => Uint8Array,
): Promise<Fetched> {
	const bytes = await opened.packs.range(packId, offset, length);
	if (typeof bytes === "string") {
		// One block at the end of a truncated pack must not take its neighbours with it.
		if (bytes === "truncated" && wanted.length > 1) return fetchSingly(opened, wanted, buffer);
		return { pieces: [], damaged: wanted };
	}
	const { sealing, config, codec } = opened;
	const size = config.blockSizeBytes;
	const keys = new Map<number, KeyObject>();
	const hashes = new Uint8Array(wanted.length * hashBytes);
	const blocks = wanted.map(({ reference }, index) => {
		const at = reference.offset - offset;
		const keyNumber = blockKeyNumber(bytes.subarray(at, at + reference.storedBytes));
		const key = keyNumber === null || keys.has(keyNumber) ? null : sealing.packKey(packId, keyNumber);
		if (keyNumber !== null && key) keys.set(keyNumber, key);
		hashes.set(reference.hash, index * hashBytes);
		return { at, storedBytes: reference.storedBytes, compressed: reference.compressed, to: index * size };
	});
	const common = { hashKey: sealing.hashKey, plainBytes: size, keys };
	const room = buffer(wanted.length * size);
	const job = { is: "open" as const, ...common, sealed: owned(bytes), blocks, hashes, content: room };
	const { content, damaged } = await codec.open(job);
	if (damaged.length === 0) return { pieces: [{ content, blocks: wanted.map(({ block }) => block) }], damaged: [] };
	const bad = new Set(damaged);
	const pieces = wanted.flatMap(({ block }, index) =>
		bad.has(index) ? [] : [{ content: content.slice(index * size, (index + 1) * size), blocks: [block] }],
	);
	return { pieces, damaged: wanted.filter((_, index) => bad.has(index)) };
}

async function fetchSingly(
	opened: Opened,
	wanted: readonly WantedBlock[],
	buffer: (lengthBytes: number) => Uint8Array,
): Promise<Fetched> {
	const fetched: Fetched = { pieces: [], damaged: [] };
	for (const each of wanted) {
		const { packId, offset, storedBytes } = each.reference;
		const { pieces, damaged } = await fetchPlaced(
			opened,
			{ packId, offset, length: storedBytes, wanted: [each] },
			buffer,
		);
		fetched.pieces.push(...pieces);
		fetched.damaged.push(...damaged);
	}
	return fetched;
}

/** Bytes that may be handed to a thread: what a storage returns is the caller's, but may be part of something larger. */
function owned(bytes: Uint8Array): Uint8Array {
	const { buffer } = bytes;
	const whole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength;
	return whole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
