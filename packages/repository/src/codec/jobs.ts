import { createHmac, type KeyObject } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
	type FramePart,
	frameKeyNumber,
	frameOverheadBytes,
	framesOf,
	maxFrameBlocks,
	openFrame,
	sealFrame,
} from "../format/frame.ts";
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

/** Some blocks of a batch, to be compressed and sealed in `framesOf` frames with rising ordinals. */
export interface SealJob {
	is: "seal";
	blockSizeBytes: number;
	content: Uint8Array;
	/** Which blocks of the batch. */
	blocks: number[];
	key: KeyObject;
	keyNumber: number;
	firstOrdinal: number;
	/** Takes the sealed frames; `sealedBatchBytes` long. */
	sealed: Uint8Array;
}
export interface SealResult {
	content: Uint8Array;
	sealed: Uint8Array;
	/** Of each frame, in the order of the job's blocks: bytes in `sealed`, one after the other, and how many blocks it holds. */
	stored: { storedBytes: number; compressed: boolean; blocks: number }[];
}

/** Sealed frames of one pack, to be opened, and the blocks in them that are wanted, to be checked. */
export interface OpenJob {
	is: "open";
	hashKey: KeyObject;
	/** Of one block. */
	plainBytes: number;
	/** The pack's key under each data key that its frames name. */
	keys: Map<number, KeyObject>;
	sealed: Uint8Array;
	frames: WantedFrame[];
	/** Hashes that the wanted blocks must have, one after the other. */
	hashes: Uint8Array;
	/** Takes the wanted blocks, one after the other. */
	content: Uint8Array;
}
export interface WantedFrame extends Omit<FramePart, "frameIndex"> {
	/** In `sealed`. */
	at: number;
	/** Which blocks of it are wanted, and their place among all that are wanted. */
	members: { frameIndex: number; wanted: number }[];
}
export interface OpenResult {
	content: Uint8Array;
	/** Which wanted blocks are not as they were written. */
	damaged: number[];
}

/** Bytes that the sealed frames of a batch take at most. */
export function sealedBatchBytes(blocks: number, blockSizeBytes: number): number {
	return blocks * blockSizeBytes + framesOf(blocks) * frameOverheadBytes;
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
	for (let frame = 0; frame < framesOf(job.blocks.length); frame++) {
		const blocks = job.blocks.slice(frame * maxFrameBlocks, (frame + 1) * maxFrameBlocks);
		const plain = plainOf(job, blocks);
		const compressed = compress(plain);
		const storedBytes = sealFrame(job.sealed, at, {
			seal: { key: job.key, keyNumber: job.keyNumber, ordinal: job.firstOrdinal + frame },
			shape: { blocks: blocks.length, compressed: compressed !== null, plainBytes: plain.length },
			payload: compressed ?? plain,
		});
		if (compressed) release(compressed);
		stored.push({ storedBytes, compressed: compressed !== null, blocks: blocks.length });
		at += storedBytes;
	}
	return { content: job.content, sealed: job.sealed, stored };
}

/** Blocks of a batch one after the other; copied only when they are not so already. */
function plainOf({ content, blockSizeBytes }: SealJob, blocks: readonly number[]): Uint8Array {
	const part = (from: number, count: number) =>
		content.subarray(from * blockSizeBytes, (from + count) * blockSizeBytes);
	const first = blocks[0] ?? 0;
	if (blocks.every((block, index) => block === first + index)) return part(first, blocks.length);
	return Buffer.concat(blocks.map((block) => part(block, 1)));
}

/** Opens each frame once, whatever is wanted of it. One that does not open takes all its blocks with it, a wrong hash only its own. */
export function runOpen(job: OpenJob): OpenResult {
	const { plainBytes } = job;
	const damaged: number[] = [];
	for (const frame of job.frames) {
		const plain = openWhole(job, job.sealed.subarray(frame.at, frame.at + frame.storedBytes), frame);
		for (const { frameIndex, wanted } of frame.members) {
			const hash = job.hashes.subarray(wanted * hashBytes, (wanted + 1) * hashBytes);
			const block = plain && checkedBlock(job, plain, { frameIndex, hash });
			if (block) job.content.set(block, wanted * plainBytes);
			else damaged.push(wanted);
		}
		if (plain) release(plain);
	}
	return { content: job.content, damaged };
}

type Opener = Pick<OpenJob, "hashKey" | "plainBytes" | "keys">;

/** One block out of a sealed frame; null when seal, compression, length or hash do not fit. */
export function openChecked(
	job: Opener,
	sealed: Uint8Array,
	block: FramePart & { hash: Uint8Array },
): Uint8Array | null {
	const plain = openWhole(job, sealed, block);
	return plain && checkedBlock(job, plain, block);
}

/** All blocks of a frame, not yet checked against their hashes. Never yields more than they have. */
function openWhole(
	{ keys, plainBytes }: Opener,
	sealed: Uint8Array,
	{ frameBlocks, compressed }: Pick<FramePart, "frameBlocks" | "compressed">,
): Uint8Array | null {
	const wholeBytes = frameBlocks * plainBytes;
	const key = keys.get(frameKeyNumber(sealed) ?? -1);
	const payload = key && openFrame(key, sealed, { blocks: frameBlocks, compressed, plainBytes: wholeBytes });
	if (!payload) return null;
	const plain = compressed ? decompress(payload, wholeBytes) : payload;
	if (compressed) release(payload);
	return plain?.length === wholeBytes ? plain : null;
}

function checkedBlock(
	{ hashKey, plainBytes }: Opener,
	plain: Uint8Array,
	{ frameIndex, hash }: { frameIndex: number; hash: Uint8Array },
): Uint8Array | null {
	const block = plain.subarray(frameIndex * plainBytes, (frameIndex + 1) * plainBytes);
	return hashBlock(hashKey, block).equals(hash) ? block : null;
}

/** As a zstd frame (RFC 8878, level 2); null when that saves less than 5 %. */
export function compress(plain: Uint8Array): Buffer | null {
	const compressed = zstdCompressSync(plain, {
		params: { [constants.ZSTD_c_compressionLevel]: 2 },
		pledgedSrcSize: plain.length,
		chunkSize: plain.length + 1024,
	});
	return compressed.length <= plain.length * 0.95 ? compressed : null;
}

function decompress(compressed: Uint8Array, plainBytes: number): Buffer | null {
	try {
		return zstdDecompressSync(compressed, { maxOutputLength: plainBytes, chunkSize: plainBytes });
	} catch {
		return null;
	}
}
