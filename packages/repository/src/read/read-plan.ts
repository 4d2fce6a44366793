import type { PackId } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";
import { frameName } from "./open-blocks.ts";

/** Neighbours in a pack are read at once when no more than this lies between them: less than another request costs. */
const maxGapBytes = 256 * 1024;
export const maxReadBytes = 4 * 1024 * 1024;

export interface WantedBlock {
	/** On the disk. */
	block: number;
	reference: Reference;
	/** Only opened along with others of its frame: nobody misses it. */
	optional?: true;
}

/** One read of one pack, and the blocks it brings, by their place on the disk. */
export interface PlannedRead {
	packId: PackId;
	offset: number;
	length: number;
	wanted: WantedBlock[];
}

/**
 * The fewest reads for the blocks: by pack, neighbours joined, none over 4 MiB of pack or of disk, in the order of the disk.
 * What is wanted of one frame is in one read, so that it is opened once; unless that alone is over 4 MiB of disk.
 */
export function planReads(wanted: readonly WantedBlock[], blockSizeBytes: number): PlannedRead[] {
	const byPack = Map.groupBy(wanted, ({ reference }) => reference.packId);
	const reads: PlannedRead[] = [];
	for (const [packId, blocks] of byPack) {
		let read: PlannedRead | null = null;
		for (const { offset, storedBytes, members } of framesInOrder(blocks, blockSizeBytes)) {
			const end = offset + storedBytes;
			if (read && canJoin(read, { offset, end, blocks: members.length }, blockSizeBytes)) {
				read.length = Math.max(read.length, end - read.offset);
				read.wanted.push(...members);
			} else {
				read = { packId, offset, length: storedBytes, wanted: members };
				reads.push(read);
			}
		}
	}
	for (const read of reads) read.wanted.sort((a, b) => a.block - b.block);
	return reads.sort((a, b) => (a.wanted[0]?.block ?? 0) - (b.wanted[0]?.block ?? 0));
}

/** What is wanted of each frame of a pack, in the order of the pack; no more at once than one read may bring. */
function framesInOrder(wanted: readonly WantedBlock[], blockSizeBytes: number) {
	const perRead = Math.max(1, Math.floor(maxReadBytes / blockSizeBytes));
	const frames: { offset: number; storedBytes: number; members: WantedBlock[] }[] = [];
	for (const blocks of Map.groupBy(wanted, ({ reference }) => frameName(reference)).values()) {
		for (let first = 0; first < blocks.length; first += perRead) {
			const members = blocks.slice(first, first + perRead);
			const reference = members[0]?.reference;
			if (reference) frames.push({ offset: reference.offset, storedBytes: reference.storedBytes, members });
		}
	}
	return frames.sort((a, b) => a.offset - b.offset);
}

function canJoin(
	read: PlannedRead,
	{ offset, end, blocks }: { offset: number; end: number; blocks: number },
	blockSizeBytes: number,
): boolean {
	return (
		offset <= read.offset + read.length + maxGapBytes &&
		end - read.offset <= maxReadBytes &&
		(read.wanted.length + blocks) * blockSizeBytes <= maxReadBytes
	);
}
