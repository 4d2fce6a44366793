import type { KeyObject } from "node:crypto";
import type { WantedFrame } from "../codec/jobs.ts";
import { type FramePart, frameKeyNumber, frameWord } from "../format/frame.ts";
import type { PackId } from "../format/pack-id.ts";
import { hashBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { plainBytesOf } from "../tree/geometry.ts";

/** A block in its pack, as a reference or the pack's directory names it. */
export interface PackedBlock extends FramePart {
	hash: Uint8Array;
	/** Of its frame in the pack. */
	offset: number;
}

/** The same for all blocks of one frame of a pack that say the same of it. */
export function frameName({ offset, ...part }: Omit<PackedBlock, "hash">): string {
	return `${offset} ${frameWord({ ...part, frameIndex: 0 })}`;
}

/**
 * Opens and checks blocks of one pack in a thread; each frame is opened once.
 * @param read bytes of the pack from `offset` that hold all frames of the wanted blocks; they may travel to the thread
 * @param room takes the plain blocks, in the order of `wanted`; it comes back as `content`
 * @returns `damaged`: indexes of the wanted blocks that are not as they were written
 */
export async function openBlocks(
	opened: Opened,
	packId: PackId,
	read: { bytes: Uint8Array; offset: number },
	wanted: readonly PackedBlock[],
	room: Uint8Array,
): Promise<{ content: Uint8Array; damaged: Set<number> }> {
	const { sealing, config, codec } = opened;
	const keys = new Map<number, KeyObject>();
	const hashes = new Uint8Array(wanted.length * hashBytes);
	const frames = new Map<string, WantedFrame>();
	for (const [index, block] of wanted.entries()) {
		hashes.set(block.hash, index * hashBytes);
		const name = frameName(block);
		const member = { frameIndex: block.frameIndex, wanted: index };
		const known = frames.get(name);
		if (known) {
			known.members.push(member);
			continue;
		}
		const { storedBytes, compressed, frameBlocks } = block;
		const at = block.offset - read.offset;
		frames.set(name, { at, storedBytes, compressed, frameBlocks, members: [member] });
		const keyNumber = frameKeyNumber(read.bytes.subarray(at, at + storedBytes));
		const key = keyNumber === null || keys.has(keyNumber) ? null : sealing.packKey(packId, keyNumber);
		if (keyNumber !== null && key) keys.set(keyNumber, key);
	}
	const plainBytes = plainBytesOf(packId, config.blockSizeBytes);
	const common = { hashKey: sealing.hashKey, plainBytes, keys, sealed: read.bytes };
	const result = await codec.open({ is: "open", ...common, frames: [...frames.values()], hashes, content: room });
	return { content: result.content, damaged: new Set(result.damaged) };
}
