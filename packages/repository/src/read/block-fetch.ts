import type { Opened } from "../opened.ts";
import { frameName, openBlocks } from "./open-blocks.ts";
import { type PlannedRead, planReads, type WantedBlock } from "./read-plan.ts";

/** Blocks that were read and checked, in the order of the disk, one after the other in `content`: give it back to the codec. */
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
 * @throws {SternaError} those of the storage: out of reach is no damage.
 */
export async function fetchBlocks(opened: Opened, read: PlannedRead): Promise<Fetched> {
	const fetched: Fetched = { pieces: [], damaged: [] };
	// Where a note leads to may have been compacted since the note was read: so each place is followed until none leads on.
	for (let reads = [read]; reads.length > 0; ) {
		const elsewhere: WantedBlock[] = [];
		for (const planned of reads) {
			const { pieces, damaged } = await fetchPlaced(opened, planned);
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

async function fetchPlaced(opened: Opened, { packId, offset, length, wanted }: PlannedRead): Promise<Fetched> {
	const bytes = await opened.packs.range(packId, offset, length);
	if (typeof bytes === "string") {
		const frames = [...Map.groupBy(wanted, ({ reference }) => frameName(reference)).values()];
		// One frame at the end of a truncated pack must not take its neighbours with it.
		if (bytes === "truncated" && frames.length > 1) return fetchSingly(opened, frames);
		return { pieces: [], damaged: wanted };
	}
	const size = opened.config.blockSizeBytes;
	const references = wanted.map(({ reference }) => reference);
	const room = opened.codec.room(wanted.length * size);
	const { content, damaged } = await openBlocks(opened, packId, { bytes: owned(bytes), offset }, references, room);
	if (damaged.size === 0) return { pieces: [{ content, blocks: wanted.map(({ block }) => block) }], damaged: [] };
	const pieces = wanted.flatMap(({ block }, index) =>
		damaged.has(index) ? [] : [{ content: content.slice(index * size, (index + 1) * size), blocks: [block] }],
	);
	opened.codec.giveBack(content);
	return { pieces, damaged: wanted.filter((_, index) => damaged.has(index)) };
}

/** Each frame in a read of its own. */
async function fetchSingly(opened: Opened, frames: readonly WantedBlock[][]): Promise<Fetched> {
	const fetched: Fetched = { pieces: [], damaged: [] };
	for (const wanted of frames) {
		const reference = wanted[0]?.reference;
		if (!reference) continue;
		const { packId, offset, storedBytes } = reference;
		const { pieces, damaged } = await fetchPlaced(opened, { packId, offset, length: storedBytes, wanted });
		fetched.pieces.push(...pieces);
		fetched.damaged.push(...damaged);
	}
	return fetched;
}

/** Bytes that may travel to a thread: what a storage returns is the caller's, but may be part of something larger. */
function owned(bytes: Uint8Array): Uint8Array {
	const { buffer } = bytes;
	const whole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength;
	return whole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
