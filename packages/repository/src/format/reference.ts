import { SternaError } from "@sterna/shared/errors";
import { type PackId, packIdBytes, packIdFromBytes } from "./pack-id.ts";

/** Bytes of a reference: hash 32, pack id 16, offset u32, length and flags u32; all little-endian. */
export const referenceBytes = 56;
export const hashBytes = 32;

const compressedBit = 0x8000_0000;
const lengthMask = 0x00ff_ffff;

/**
 * Where a block or node is, and what it must hash to. In the format `null` (56 zero bytes) stands for zeros: one block, or a
 * whole subtree. The location is a hint that stays valid: a compacted pack leaves a note (`forwarding.ts`).
 */
export interface Reference {
	hash: Uint8Array;
	packId: PackId;
	/** Of the sealed bytes in the pack. */
	offset: number;
	/** Length of the sealed bytes. */
	storedBytes: number;
	compressed: boolean;
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
	bytes.writeUInt32LE((reference.storedBytes | (reference.compressed ? compressedBit : 0)) >>> 0, at + 52);
}

/** @throws {SternaError} `invalid` when unknown flags are set or a length is missing. */
export function readReference(source: Uint8Array, at: number): Reference | null {
	if (isHole(source, at)) return null;
	const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
	const lengthAndFlags = bytes.readUInt32LE(at + 52);
	const storedBytes = lengthAndFlags & lengthMask;
	const flags = (lengthAndFlags & ~lengthMask) >>> 0;
	if ((flags !== 0 && flags !== compressedBit) || storedBytes === 0) {
		throw new SternaError("invalid", "a reference in a tree node has unknown flags or no length");
	}
	return {
		hash: new Uint8Array(source.subarray(at, at + hashBytes)),
		packId: packIdFromBytes(source.subarray(at + hashBytes, at + 48)),
		offset: bytes.readUInt32LE(at + 48),
		storedBytes,
		compressed: flags === compressedBit,
	};
}

/** Whether zeros stand at `at`. A reference's length is never 0, so its last four bytes tell. */
export function isHole(source: Uint8Array, at: number): boolean {
	return source[at + 52] === 0 && source[at + 53] === 0 && source[at + 54] === 0 && source[at + 55] === 0;
}
