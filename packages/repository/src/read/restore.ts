import { SternaError } from "@sterna/shared/errors";
import { isHole, readReference, referenceBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";
import { fanout } from "../tree/geometry.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import { type FetchedBlocks, fetchBlocks, giveBack } from "./block-fetch.ts";
import { type PlannedRead, planReads, type WantedBlock } from "./read-plan.ts";

/** Reads are planned over so much of the disk at once: blocks of one pack that lie apart on it are still read together. */
const windowBytes = 64 * 1024 * 1024;
const readsInFlight = 4;

/**
 * Hands out all data of a volume. At most 4 reads are in flight, each with 4 MiB sealed and 4 MiB plain.
 * @param damaged makes the error for blocks that cannot be read
 */
export async function restoreVolume(
	opened: Opened,
	tree: TreeReader,
	sink: (offset: number, data: Uint8Array) => Promise<void>,
	{ signal, onProgress, damaged }: UpkeepOptions & { damaged: (blocks: readonly WantedBlock[]) => SternaError },
): Promise<void> {
	const { blockSizeBytes } = opened.config;
	const totalBytes = tree.blocks * blockSizeBytes;
	let doneBytes = 0;
	const done = (blocks: number) => {
		doneBytes += blocks * blockSizeBytes;
		onProgress?.({ totalBytes, doneBytes });
	};
	const inFlight = new Set<Promise<void>>();
	let failure: unknown;

	async function carryOut(read: PlannedRead): Promise<void> {
		const fetched = await fetchBlocks(opened, read);
		try {
			if (fetched.damaged.length > 0) throw damaged(fetched.damaged);
			for (const piece of fetched.pieces) await handOut(piece, blockSizeBytes, sink);
		} finally {
			giveBack(opened, fetched);
		}
		done(read.wanted.length);
	}

	async function start(wanted: readonly WantedBlock[]): Promise<void> {
		for (const read of planReads(wanted, blockSizeBytes)) {
			while (inFlight.size >= readsInFlight) await Promise.race(inFlight);
			if (signal.aborted) throw new SternaError("cancelled", "the restore was cancelled");
			if (failure) throw failure;
			const carried = carryOut(read)
				.catch((error: unknown) => {
					failure ??= error;
				})
				.finally(() => inFlight.delete(carried));
			inFlight.add(carried);
		}
	}

	try {
		let wanted: WantedBlock[] = [];
		for await (const { from, to, leaf } of tree.leaves(0, tree.blocks)) {
			done(leaf ? addWanted(wanted, leaf, from, to) : to - from);
			if (wanted.length * blockSizeBytes < windowBytes) continue;
			await start(wanted);
			wanted = [];
		}
		await start(wanted);
	} finally {
		await Promise.all(inFlight);
	}
	if (failure) throw failure;
}

/** Adds the blocks [from, to) of a leaf. Returns how many of them are zeros. @throws {SternaError} `invalid`, see `readReference`. */
export function addWanted(wanted: WantedBlock[], leaf: Uint8Array, from: number, to: number): number {
	let zeros = 0;
	for (let block = from; block < to; block++) {
		const at = (block % fanout) * referenceBytes;
		const reference = isHole(leaf, at) ? null : readReference(leaf, at);
		if (reference) wanted.push({ block, reference });
		else zeros++;
	}
	return zeros;
}

/** Neighbours on the disk in one piece. */
async function handOut(
	{ content, blocks }: FetchedBlocks,
	blockSizeBytes: number,
	sink: (offset: number, data: Uint8Array) => Promise<void>,
): Promise<void> {
	for (let first = 0; first < blocks.length; ) {
		let next = first + 1;
		while (next < blocks.length && blocks[next] === (blocks[next - 1] ?? 0) + 1) next++;
		const data = content.subarray(first * blockSizeBytes, next * blockSizeBytes);
		await sink((blocks[first] ?? 0) * blockSizeBytes, data);
		first = next;
	}
}
