import { SternaError } from "@sterna/shared/errors";
import { type PackId, packKind } from "../format/pack-id.ts";
import { isHole, referenceBytes } from "../format/reference.ts";

/** References of one node. */
export const fanout = 32;
/** A node's plain bytes: always all its references, holes included. */
export const nodeBytes = fanout * referenceBytes;

/** Plain bytes of what a pack holds: nodes, or blocks of disks. */
export function plainBytesOf(packId: PackId, blockSizeBytes: number): number {
	return packKind(packId) === "tree" ? nodeBytes : blockSizeBytes;
}

/** Blocks under one reference that stands in a node of this level; level 1 are the leaves, whose references are blocks. */
export function spanBlocks(level: number): number {
	return fanout ** (level - 1);
}

/** Levels of the tree of a disk with so many blocks; at least one. It follows from the disk's size alone. */
export function treeDepth(blocks: number): number {
	let depth = 1;
	while (spanBlocks(depth + 1) < blocks) depth++;
	return depth;
}

/** Index, in its level, of the node that holds the reference to `block`. */
export function nodeIndex(level: number, block: number): number {
	return Math.floor(block / spanBlocks(level + 1));
}

/** Which of a node's references leads to `block`. */
export function slotOf(level: number, block: number): number {
	return Math.floor(block / spanBlocks(level)) % fanout;
}

/** @throws {SternaError} `invalid` when a node refers to blocks behind the end of the disk. */
export function checkInsideDisk(node: Uint8Array, at: { level: number; index: number }, blocks: number): void {
	for (let slot = fanout - 1; slot >= 0; slot--) {
		const firstBlock = (at.index * fanout + slot) * spanBlocks(at.level);
		if (firstBlock < blocks) return;
		if (!isHole(node, slot * referenceBytes)) {
			throw new SternaError("invalid", `a tree is longer than its disk: block ${firstBlock} of ${blocks}`);
		}
	}
}
