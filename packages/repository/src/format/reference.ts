import { SternaError } from "@sterna/shared/errors";
import { type FramePart, frameWord, parseFrameWord } from "./frame.ts";
import { type PackId, packIdBytes, packIdFromBytes } from "./pack-id.ts";

/** Bytes of a reference: hash 32, pack id 16, offset u32, part in the frame u32 (`frameWord`); all little-endian. */
export const referenceBytes = 56;
export const hashBytes = 32;

/**
 * Where a block or node is, and what it must hash to. In the format `null` (56 zero bytes) stands for zeros: one block, or a
 * whole subtree. The location is a hint that stays valid: a compacted pack leaves a note (`forwarding.ts`).
 */
export interface Reference extends FramePart {
	hash: Uint8Array;
	packId: PackId;
	/** Of the sealed frame in the pack. */
	offset: number;
}

/** Writes a reference, or zeros for null, at `at`. */
export function writeReference(target: Uint8Array, at: number, reference: Reference | null): void {
	if (reference === null) {
		target.fill(0, at, at + referenceBytes);
		return;
	}
	target.set(reference.hash, at);
	const bytes = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
	bytes.write(reference.packId, at + hashBytes, packIdBytes, "hex");
	bytes.writeUInt32LE(reference.offset, at + 48);
	bytes.writeUInt32LE(frameWord(reference), at + 52);
}

/** @throws {SternaError} `invalid` when unknown flags are set, a length is missing, or its frame does not have such a block. */
export function readReference(source: Uint8Array, at: number): Reference | null {
	if (isHole(source, at)) return null;
	const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
	const part = parseFrameWord(bytes.readUInt32LE(at + 52));
	if (!part)
		throw new SternaError("invalid", "a reference in a tree node has unknown flags, no length or a wrong index");
	return {
		hash: new Uint8Array(source.subarray(at, at + hashBytes)),
		packId: packIdFromBytes(source.subarray(at + hashBytes, at + 48)),
		offset: bytes.readUInt32LE(at + 48),
		...part,
	};
}

/** Whether zeros stand at `at`. A reference's length is never 0, so its last four bytes tell. */
export function isHole(source: Uint8Array, at: number): boolean {
	return source[at + 52] === 0 && source[at + 53] === 0 && source[at + 54] === 0 && source[at + 55] === 0;
}
