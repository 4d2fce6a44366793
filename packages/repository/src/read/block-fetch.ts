import type { Opened } from "../opened.ts";
import { frameName, openBlocks } from "./open-blocks.ts";
import { type PlannedRead, planReads, type WantedBlock } from "./read-plan.ts";

/** Blocks that were read and checked, in the order of the disk, one after the other in `content`: see `giveBack`. */
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
	try {
		// Where a note leads to may have been compacted since the note was read: so each place is followed until none leads on.
		for (let reads = [read]; reads.length > 0; ) {
			const elsewhere: WantedBlock[] = [];
			for (const planned of reads) {
				for (const lost of await fetchPlaced(opened, planned, fetched.pieces)) {
					if (lost.optional) continue;
					const moved = await opened.packs.moved(lost.reference);
					if (moved) elsewhere.push({ block: lost.block, reference: moved });
					else fetched.damaged.push(lost);
				}
			}
			reads = planReads(elsewhere, opened.config.blockSizeBytes);
		}
		return fetched;
	} catch (error) {
		giveBack(opened, fetched);
		throw error;
	}
}

/** Once nobody looks at the content any more. */
export function giveBack({ codec }: Opened, { pieces }: Fetched): void {
	for (const { content } of pieces) codec.giveBack(content);
}

/** Adds what it brings to `pieces`. Returns the blocks that are not there as they were written. */
async function fetchPlaced(
	opened: Opened,
	{ packId, offset, length, wanted }: PlannedRead,
	pieces: FetchedBlocks[],
): Promise<WantedBlock[]> {
	const bytes = await opened.packs.range(packId, offset, length);
	if (typeof bytes === "string") {
		const frames = [...Map.groupBy(wanted, ({ reference }) => frameName(reference)).values()];
		// One frame at the end of a truncated pack must not take its neighbours with it.
		return bytes === "truncated" && frames.length > 1 ? fetchSingly(opened, frames, pieces) : wanted;
	}
	const size = opened.config.blockSizeBytes;
	const references = wanted.map(({ reference }) => reference);
	const room = opened.codec.room(wanted.length * size);
	const { content, damaged } = await openBlocks(opened, packId, { bytes: owned(bytes), offset }, references, room);
	if (damaged.size === 0) {
		pieces.push({ content, blocks: wanted.map(({ block }) => block) });
		return [];
	}
	for (const [index, { block }] of wanted.entries()) {
		if (!damaged.has(index)) pieces.push({ content: content.slice(index * size, (index + 1) * size), blocks: [block] });
	}
	opened.codec.giveBack(content);
	return wanted.filter((_, index) => damaged.has(index));
}

/** Each frame in a read of its own. */
async function fetchSingly(
	opened: Opened,
	frames: readonly WantedBlock[][],
	pieces: FetchedBlocks[],
): Promise<WantedBlock[]> {
	const lost: WantedBlock[] = [];
	for (const wanted of frames) {
		const reference = wanted[0]?.reference;
		if (!reference) continue;
		const { packId, offset, storedBytes } = reference;
		lost.push(...(await fetchPlaced(opened, { packId, offset, length: storedBytes, wanted }, pieces)));
	}
	return lost;
}

/** Bytes that may travel to a thread: what a storage returns is the caller's, but may be part of something larger. */
function owned(bytes: Uint8Array): Uint8Array {
	const { buffer } = bytes;
	const whole = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength;
	return whole ? new Uint8Array(buffer) : new Uint8Array(bytes);
}
