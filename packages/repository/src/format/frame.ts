import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import { release } from "./release.ts";
import { cipherName, nonceBytes, tagBytes } from "./sealing.ts";

/**
 * A frame: one to four whole blocks, one after the other, compressed and sealed together. Blocks of 64 KiB are right for
 * what changes, and too small to compress well: docs/decisions/0017.
 *
 * As it stands in a pack: u32 (number of the data key in the high 8 bits, ordinal in the pack in the low 24), ciphertext, tag.
 * The nonce is 8 zero bytes and that u32, big-endian; the pack's key is its own, so no nonce comes twice.
 */
export const maxFrameBlocks = 4;
export const frameOverheadBytes = 4 + tagBytes;
/** Frames of a pack, its directory included, are numbered with 24 bits. */
export const maxOrdinal = 0x00ff_ffff;

export interface FrameSeal {
	key: KeyObject;
	keyNumber: number;
	ordinal: number;
}

/** What is sealed with a frame without being in it. */
export interface FrameShape {
	/** 1 to 4; 0 for a pack's directory, so that neither can be taken for the other. */
	blocks: number;
	compressed: boolean;
	/** Of all its blocks together. */
	plainBytes: number;
}

/** A block's part in a frame, as references and directories say it in one u32. */
export interface FramePart {
	/** Sealed bytes of the whole frame. */
	storedBytes: number;
	compressed: boolean;
	/** Blocks in the frame, 1 to 4. */
	frameBlocks: number;
	/** Which of them this one is, from 0. */
	frameIndex: number;
}

/** Frames that so many blocks are stored in: each but the last is full. */
export function framesOf(blocks: number): number {
	return Math.ceil(blocks / maxFrameBlocks);
}

/** Length in the low 24 bits, then 2 bits of blocks less one and 2 bits of index; three that are 0; "compressed" in the highest. */
export function frameWord({ storedBytes, compressed, frameBlocks, frameIndex }: FramePart): number {
	return (storedBytes | ((frameBlocks - 1) << 24) | (frameIndex << 26) | (compressed ? 1 << 31 : 0)) >>> 0;
}

/** Null for what is no part of a frame: without a length, with unknown flags, or an index that the frame does not have. */
export function parseFrameWord(word: number): FramePart | null {
	const storedBytes = word & 0x00ff_ffff;
	const frameBlocks = ((word >>> 24) & 3) + 1;
	const frameIndex = (word >>> 26) & 3;
	if (storedBytes === 0 || frameIndex >= frameBlocks || ((word >>> 28) & 7) !== 0) return null;
	return { storedBytes, compressed: word >>> 31 === 1, frameBlocks, frameIndex };
}

/** Whether a frame of blocks of `plainBytes` each can have its length: as they are when not compressed, else less. */
export function hasFrameLength({ storedBytes, compressed, frameBlocks }: FramePart, plainBytes: number): boolean {
	const wholeBytes = frameBlocks * plainBytes + frameOverheadBytes;
	return compressed ? storedBytes > frameOverheadBytes && storedBytes < wholeBytes : storedBytes === wholeBytes;
}

function frameAad({ blocks, compressed, plainBytes }: FrameShape): Buffer {
	const aad = Buffer.alloc(6);
	aad[0] = blocks;
	aad[1] = compressed ? 1 : 0;
	aad.writeUInt32LE(plainBytes, 2);
	return aad;
}

function frameNonce(prefix: number): Buffer {
	const nonce = Buffer.alloc(nonceBytes);
	nonce.writeUInt32BE(prefix, nonceBytes - 4);
	return nonce;
}

/** Seals `payload` (the plain bytes, or zstd's frame of them) into `target` at `at`. Returns the bytes written: payload and overhead. */
export function sealFrame(
	target: Uint8Array,
	at: number,
	frame: { seal: FrameSeal; shape: FrameShape; payload: Uint8Array },
): number {
	const { key, keyNumber, ordinal } = frame.seal;
	const prefix = ((keyNumber << 24) | ordinal) >>> 0;
	const cipher = createCipheriv(cipherName, key, frameNonce(prefix));
	cipher.setAAD(frameAad(frame.shape));
	const sealed = cipher.update(frame.payload);
	cipher.final();
	new DataView(target.buffer, target.byteOffset, target.byteLength).setUint32(at, prefix, true);
	target.set(sealed, at + 4);
	target.set(cipher.getAuthTag(), at + 4 + sealed.length);
	const storedBytes = frameOverheadBytes + sealed.length;
	release(sealed);
	return storedBytes;
}

/** Which data key a sealed frame is under; null when it is too short to be one. */
export function frameKeyNumber(sealed: Uint8Array): number | null {
	return sealed.length > frameOverheadBytes ? (sealed[3] ?? null) : null;
}

/** The payload of a sealed frame: plain bytes, or zstd's frame of them when `compressed`. Null when its seal does not fit. */
export function openFrame(key: KeyObject, sealed: Uint8Array, shape: FrameShape): Buffer | null {
	if (sealed.length <= frameOverheadBytes) return null;
	const prefix = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength).getUint32(0, true);
	const decipher = createDecipheriv(cipherName, key, frameNonce(prefix));
	decipher.setAAD(frameAad(shape));
	decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
	const payload = decipher.update(sealed.subarray(4, sealed.length - tagBytes));
	try {
		decipher.final();
	} catch {
		return null;
	}
	return payload;
}
