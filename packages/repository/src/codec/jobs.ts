import { createHmac, type KeyObject } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { blockKeyNumber, blockOverheadBytes, openBlock, sealBlock } from "../format/block.ts";
import { hashBytes } from "../format/reference.ts";
import { release } from "../format/release.ts";

/** A batch of whole blocks, one after the other. */
export interface HashJob {
	is: "hash";
	hashKey: KeyObject;
	blockSizeBytes: number;
	content: Uint8Array;
}
export interface HashResult {
	content: Uint8Array;
	/** One after the other. */
	hashes: Uint8Array;
	/** 1 for each block that is all zeros; such a one has no hash. */
	zeros: Uint8Array;
}

/** Some blocks of a batch, to be compressed and sealed with rising ordinals. */
export interface SealJob {
	is: "seal";
	blockSizeBytes: number;
	content: Uint8Array;
	/** Of all blocks of the batch. */
	hashes: Uint8Array;
	/** Which blocks of the batch. */
	blocks: number[];
	key: KeyObject;
	keyNumber: number;
	firstOrdinal: number;
	/** Takes the sealed blocks; `sealedBatchBytes` long. */
	sealed: Uint8Array;
}
export interface SealResult {
	content: Uint8Array;
	hashes: Uint8Array;
	sealed: Uint8Array;
	/** Of each block of the job: bytes in `sealed`, one after the other, and whether they are compressed. */
	stored: { storedBytes: number; compressed: boolean }[];
}

/** Sealed blocks of one pack, to be opened and checked. */
export interface OpenJob {
	is: "open";
	hashKey: KeyObject;
	plainBytes: number;
	/** The pack's key under each data key that its blocks name. */
	keys: Map<number, KeyObject>;
	sealed: Uint8Array;
	blocks: { at: number; storedBytes: number; compressed: boolean; to: number }[];
	/** Hashes that the blocks must have, one after the other. */
	hashes: Uint8Array;
	/** Takes the plain blocks at their `to`. */
	content: Uint8Array;
}
export interface OpenResult {
	sealed: Uint8Array;
	content: Uint8Array;
	/** Indexes of blocks that are not as they were written. */
	damaged: number[];
}

/** Bytes that the sealed blocks of a batch take at most. */
export function sealedBatchBytes(blocks: number, blockSizeBytes: number): number {
	return blocks * (blockSizeBytes + blockOverheadBytes);
}

/** The name of a block or node: HMAC-SHA256 (RFC 2104), so that who has only the storage cannot ask it for known content. */
export function hashBlock(key: KeyObject, block: Uint8Array): Buffer {
	return createHmac("sha256", key).update(block).digest();
}

export function runHash(job: HashJob): HashResult {
	const blocks = job.content.length / job.blockSizeBytes;
	const hashes = new Uint8Array(blocks * hashBytes);
	const zeros = new Uint8Array(blocks);
	const zero = Buffer.alloc(job.blockSizeBytes);
	for (let index = 0; index < blocks; index++) {
		const block = job.content.subarray(index * job.blockSizeBytes, (index + 1) * job.blockSizeBytes);
		if (zero.equals(block)) zeros[index] = 1;
		else hashes.set(hashBlock(job.hashKey, block), index * hashBytes);
	}
	return { content: job.content, hashes, zeros };
}

export function runSeal(job: SealJob): SealResult {
	const stored: SealResult["stored"] = [];
	let at = 0;
	for (const [index, block] of job.blocks.entries()) {
		const plain = job.content.subarray(block * job.blockSizeBytes, (block + 1) * job.blockSizeBytes);
		const frame = compress(plain);
		const storedBytes = sealBlock(job.sealed, at, {
			seal: { key: job.key, keyNumber: job.keyNumber, ordinal: job.firstOrdinal + index },
			hash: job.hashes.subarray(block * hashBytes, (block + 1) * hashBytes),
			compressed: frame !== null,
			plainBytes: job.blockSizeBytes,
			payload: frame ?? plain,
		});
		if (frame) release(frame);
		stored.push({ storedBytes, compressed: frame !== null });
		at += storedBytes;
	}
	return { content: job.content, hashes: job.hashes, sealed: job.sealed, stored };
}

export function runOpen(job: OpenJob): OpenResult {
	const damaged: number[] = [];
	for (const [index, block] of job.blocks.entries()) {
		const sealed = job.sealed.subarray(block.at, block.at + block.storedBytes);
		const hash = job.hashes.subarray(index * hashBytes, (index + 1) * hashBytes);
		const plain = openChecked(job, sealed, hash, block.compressed);
		if (plain) {
			job.content.set(plain, block.to);
			release(plain);
		} else damaged.push(index);
	}
	return { sealed: job.sealed, content: job.content, damaged };
}

/** A block's plain bytes; null when seal, compression, length or hash do not fit. Never yields more than `plainBytes`. */
export function openChecked(
	job: Pick<OpenJob, "hashKey" | "plainBytes" | "keys">,
	sealed: Uint8Array,
	hash: Uint8Array,
	compressed: boolean,
): Uint8Array | null {
	const key = job.keys.get(blockKeyNumber(sealed) ?? -1);
	const payload = key && openBlock(key, sealed, { hash, compressed, plainBytes: job.plainBytes });
	if (!payload) return null;
	const plain = compressed ? decompress(payload, job.plainBytes) : payload;
	if (compressed) release(payload);
	if (plain?.length !== job.plainBytes) return null;
	return hashBlock(job.hashKey, plain).equals(hash) ? plain : null;
}

/** The block as a zstd frame (RFC 8878, level 1); null when that saves less than 5 %. */
export function compress(plain: Uint8Array): Buffer | null {
	const frame = zstdCompressSync(plain, {
		params: { [constants.ZSTD_c_compressionLevel]: 1 },
		pledgedSrcSize: plain.length,
		chunkSize: plain.length + 1024,
	});
	return frame.length <= plain.length * 0.95 ? frame : null;
}

function decompress(frame: Uint8Array, plainBytes: number): Buffer | null {
	try {
		return zstdDecompressSync(frame, { maxOutputLength: plainBytes, chunkSize: plainBytes });
	} catch {
		return null;
	}
}
