import type { PackId } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";

/** Neighbours in a pack are read at once when no more than this lies between them: less than another request costs. */
const maxGapBytes = 256 * 1024;
export const maxReadBytes = 4 * 1024 * 1024;

export interface WantedBlock {
	/** On the disk. */
	block: number;
	reference: Reference;
}

/** One read of one pack, and the blocks it brings, by their place on the disk. */
export interface PlannedRead {
	packId: PackId;
	offset: number;
	length: number;
	wanted: WantedBlock[];
}

/** The fewest reads for the blocks: by pack, neighbours joined, none over 4 MiB of pack or of disk. In the order of the disk. */
export function planReads(wanted: readonly WantedBlock[], blockSizeBytes: number): PlannedRead[] {
	const byPack = Map.groupBy(wanted, ({ reference }) => reference.packId);
	const reads: PlannedRead[] = [];
	for (const [packId, blocks] of byPack) {
		let read: PlannedRead | null = null;
		for (const each of blocks.toSorted((a, b) => a.reference.offset - b.reference.offset)) {
			const { offset, storedBytes } = each.reference;
			const end = offset + storedBytes;
			if (read && canJoin(read, offset, end, blockSizeBytes)) {
				read.length = Math.max(read.length, end - read.offset);
				read.wanted.push(each);
			} else {
				read = { packId, offset, length: storedBytes, wanted: [each] };
				reads.push(read);
			}
		}
	}
	for (const read of reads) read.wanted.sort((a, b) => a.block - b.block);
	return reads.sort((a, b) => (a.wanted[0]?.block ?? 0) - (b.wanted[0]?.block ?? 0));
}

function canJoin(read: PlannedRead, offset: number, end: number, blockSizeBytes: number): boolean {
	return (
		offset <= read.offset + read.length + maxGapBytes &&
		end - read.offset <= maxReadBytes &&
		(read.wanted.length + 1) * blockSizeBytes <= maxReadBytes
	);
}
