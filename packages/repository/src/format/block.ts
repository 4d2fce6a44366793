import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import { release } from "./release.ts";
import { cipherName, nonceBytes, tagBytes } from "./sealing.ts";

/**
 * A sealed block, as it stands in a pack: u32 (number of the data key in the high 8 bits, ordinal in the pack in the low 24),
 * ciphertext, tag. The nonce is 8 zero bytes and that u32, big-endian; the pack's key is its own, so no nonce comes twice.
 */
export const blockOverheadBytes = 4 + tagBytes;
/** Blocks of a pack, its directory included, are numbered with 24 bits. */
export const maxOrdinal = 0x00ff_ffff;

export interface BlockSeal {
	key: KeyObject;
	keyNumber: number;
	ordinal: number;
}

/** What is sealed with a block without being in it, so that no block can be taken for another: hash, compressed or not, plain length. */
function blockAad(hash: Uint8Array, compressed: boolean, plainBytes: number): Buffer {
	const aad = Buffer.alloc(hash.length + 5);
	aad.set(hash, 0);
	aad[hash.length] = compressed ? 1 : 0;
	aad.writeUInt32LE(plainBytes, hash.length + 1);
	return aad;
}

function blockNonce(prefix: number): Buffer {
	const nonce = Buffer.alloc(nonceBytes);
	nonce.writeUInt32BE(prefix, nonceBytes - 4);
	return nonce;
}

/** Seals `payload` (the plain bytes, or their zstd frame) into `target` at `at`. Returns the bytes written: payload and overhead. */
export function sealBlock(
	target: Uint8Array,
	at: number,
	block: { seal: BlockSeal; hash: Uint8Array; compressed: boolean; plainBytes: number; payload: Uint8Array },
): number {
	const prefix = ((block.seal.keyNumber << 24) | block.seal.ordinal) >>> 0;
	const cipher = createCipheriv(cipherName, block.seal.key, blockNonce(prefix));
	cipher.setAAD(blockAad(block.hash, block.compressed, block.plainBytes));
	const sealed = cipher.update(block.payload);
	cipher.final();
	new DataView(target.buffer, target.byteOffset, target.byteLength).setUint32(at, prefix, true);
	target.set(sealed, at + 4);
	target.set(cipher.getAuthTag(), at + 4 + sealed.length);
	const storedBytes = blockOverheadBytes + sealed.length;
	release(sealed);
	return storedBytes;
}

/** Which data key a sealed block is under; null when it is too short to be one. */
export function blockKeyNumber(sealed: Uint8Array): number | null {
	return sealed.length > blockOverheadBytes ? (sealed[3] ?? null) : null;
}

/** The payload of a sealed block: plain bytes, or their zstd frame when `compressed`. Null when its seal does not fit. */
export function openBlock(
	key: KeyObject,
	sealed: Uint8Array,
	block: { hash: Uint8Array; compressed: boolean; plainBytes: number },
): Buffer | null {
	if (sealed.length <= blockOverheadBytes) return null;
	const prefix = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength).getUint32(0, true);
	const decipher = createDecipheriv(cipherName, key, blockNonce(prefix));
	decipher.setAAD(blockAad(block.hash, block.compressed, block.plainBytes));
	decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
	const payload = decipher.update(sealed.subarray(4, sealed.length - tagBytes));
	try {
		decipher.final();
	} catch {
		return null;
	}
	return payload;
}
