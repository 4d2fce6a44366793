import { SternaError } from "@sterna/shared/errors";
import { type FramePart, frameWord, maxFrameBlocks, parseFrameWord } from "./frame.ts";
import { type PackId, packIdBytes, packIdFromBytes } from "./pack-id.ts";

/** Where a block is now, and in which frame: blocks of a frame of which others are needed no more are framed anew. */
export interface NewPlace extends FramePart {
	packId: PackId;
	offset: number;
}

/** Where the blocks of one pack are now, by `placeKey` of where they were in it: `moved/<packId>`, a sealed object. */
export type Forwarding = Map<number, NewPlace>;

const entryBytes = 4 + 1 + packIdBytes + 4 + 4;

/** Tells the blocks of one pack apart: by their frame's offset, and their place in the frame. */
export function placeKey({ offset, frameIndex }: { offset: number; frameIndex: number }): number {
	return offset * maxFrameBlocks + frameIndex;
}

/**
 * Entries of u32 old offset, u8 old index in the frame, new pack's id, new offset u32, u32 as in the new pack's directory,
 * little-endian; for `Sealing.sealObject`.
 */
export function encodeForwarding(forwarding: Forwarding): Buffer {
	const bytes = Buffer.alloc(forwarding.size * entryBytes);
	let at = 0;
	for (const [key, { packId, offset, ...part }] of forwarding) {
		bytes.writeUInt32LE(Math.floor(key / maxFrameBlocks), at);
		bytes[at + 4] = key % maxFrameBlocks;
		bytes.write(packId, at + 5, packIdBytes, "hex");
		bytes.writeUInt32LE(offset, at + 5 + packIdBytes);
		bytes.writeUInt32LE(frameWord(part), at + 9 + packIdBytes);
		at += entryBytes;
	}
	return bytes;
}

/** @throws {SternaError} `invalid` when it has another length than whole entries have, or an entry makes no sense. */
export function decodeForwarding(key: string, bytes: Uint8Array): Forwarding {
	if (bytes.length % entryBytes !== 0) throw new SternaError("invalid", `${key} does not hold whole entries`);
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const forwarding: Forwarding = new Map();
	for (let at = 0; at < buffer.length; at += entryBytes) {
		const frameIndex = buffer.readUInt8(at + 4);
		const part = parseFrameWord(buffer.readUInt32LE(at + 9 + packIdBytes));
		if (!part || frameIndex >= maxFrameBlocks) {
			throw new SternaError("invalid", `${key} has an entry of a frame that cannot be`);
		}
		forwarding.set(placeKey({ offset: buffer.readUInt32LE(at), frameIndex }), {
			...part,
			packId: packIdFromBytes(buffer.subarray(at + 5, at + 5 + packIdBytes)),
			offset: buffer.readUInt32LE(at + 5 + packIdBytes),
		});
	}
	return forwarding;
}
