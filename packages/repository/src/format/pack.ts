import type { KeyObject } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import {
	type FramePart,
	type FrameSeal,
	type FrameShape,
	frameKeyNumber,
	frameOverheadBytes,
	frameWord,
	hasFrameLength,
	maxFrameBlocks,
	maxOrdinal,
	openFrame,
	parseFrameWord,
	sealFrame,
} from "./frame.ts";
import { type PackId, packIdBytes, packKey, packKind } from "./pack-id.ts";
import { hashBytes, type Reference } from "./reference.ts";
import type { Sealing } from "./sealing.ts";

/** A pack: header, sealed frames one after the other, sealed directory, trailer. */
export const packHeaderBytes = 8 + packIdBytes;
export const packTrailerBytes = 12;
/** A directory's entry: a block's hash and its part in its frame (`frameWord`). The blocks of a frame follow one another. */
export const directoryEntryBytes = hashBytes + 4;
/** Blocks of one pack; keeps directories under 300 KiB. */
export const maxPackBlocks = 8192;
export const packTargetBytes = 16 * 1024 * 1024;
/** What any pack may have at most; a reader refuses more. */
export const maxPackBytes = 64 * 1024 * 1024;

const headerMagic = Buffer.from("STP1", "ascii");
const trailerMagic = Buffer.from("STPE", "ascii");

export type DirectoryEntry = Omit<Reference, "packId">;

/** Bytes around the frames of a pack that has `blocks` blocks in them. */
export function packOverheadBytes(blocks: number): number {
	return packHeaderBytes + frameOverheadBytes + blocks * directoryEntryBytes + packTrailerBytes;
}

/** Fills one pack in `buffer`, which must hold the frames and `packOverheadBytes`. */
export class PackBuilder {
	readonly packId: PackId;
	readonly #key: KeyObject;
	readonly #keyNumber: number;
	readonly #buffer: Uint8Array;
	readonly #directory: DirectoryEntry[] = [];
	#at = packHeaderBytes;
	#nextOrdinal = 0;

	/** @param keyNumber the data key; `Sealing.currentKeyNumber`. */
	constructor(packId: PackId, sealing: Sealing, buffer: Uint8Array, keyNumber = sealing.currentKeyNumber) {
		const key = sealing.packKey(packId, keyNumber);
		if (!key) throw new SternaError("internal", `the keyring has no data key ${keyNumber}`);
		this.packId = packId;
		this.#key = key;
		this.#keyNumber = keyNumber;
		this.#buffer = buffer;
		buffer.set(headerMagic, 0);
		buffer.set([packKind(packId) === "tree" ? 1 : 0, keyNumber, 0, 0], 4);
		buffer.set(Buffer.from(packId, "hex"), 8);
	}

	get blocks(): number {
		return this.#directory.length;
	}

	/** Of what `finish` would return now. */
	get sizeBytes(): number {
		return this.#at - packHeaderBytes + packOverheadBytes(this.blocks);
	}

	/** Keys and numbers for `count` frames that are sealed elsewhere and then given to `append`. */
	reserve(count: number): FrameSeal {
		const ordinal = this.#nextOrdinal;
		this.#nextOrdinal += count;
		if (this.#nextOrdinal >= maxOrdinal) throw new SternaError("internal", "a pack has no more ordinals");
		return { key: this.#key, keyNumber: this.#keyNumber, ordinal };
	}

	/** Takes a frame that was sealed with a reserved number; `hashes` of its blocks. */
	append(hashes: readonly Uint8Array[], sealed: Uint8Array, compressed: boolean): Reference[] {
		this.#buffer.set(sealed, this.#at);
		return this.#entered(hashes, sealed.length, compressed);
	}

	/** Seals the payload of a frame (plain, or zstd's frame of it) and takes it. `plainBytes`: of all its blocks together. */
	seal(hashes: readonly Uint8Array[], payload: Uint8Array, shape: Omit<FrameShape, "blocks">): Reference[] {
		const frame = { seal: this.reserve(1), shape: { ...shape, blocks: hashes.length }, payload };
		return this.#entered(hashes, sealFrame(this.#buffer, this.#at, frame), shape.compressed);
	}

	/** The whole pack: a view of the buffer. */
	finish(): Uint8Array {
		const directory = new Uint8Array(this.blocks * directoryEntryBytes);
		const numbers = new DataView(directory.buffer);
		for (const [index, entry] of this.#directory.entries()) {
			const at = index * directoryEntryBytes;
			directory.set(entry.hash, at);
			numbers.setUint32(at + hashBytes, frameWord(entry), true);
		}
		const directoryAt = this.#at;
		this.#at += sealFrame(this.#buffer, directoryAt, {
			seal: { key: this.#key, keyNumber: this.#keyNumber, ordinal: maxOrdinal },
			shape: directoryShape(directory.length),
			payload: directory,
		});
		const trailer = new DataView(this.#buffer.buffer, this.#buffer.byteOffset + this.#at, packTrailerBytes);
		trailer.setUint32(0, directoryAt, true);
		trailer.setUint32(4, this.#at - directoryAt, true);
		this.#buffer.set(trailerMagic, this.#at + 8);
		return this.#buffer.subarray(0, this.#at + packTrailerBytes);
	}

	#entered(hashes: readonly Uint8Array[], storedBytes: number, compressed: boolean): Reference[] {
		if (hashes.length < 1 || hashes.length > maxFrameBlocks) {
			throw new SternaError("internal", `a frame of ${hashes.length} blocks cannot be`);
		}
		const frame = { offset: this.#at, storedBytes, compressed, frameBlocks: hashes.length };
		const entries = hashes.map((hash, frameIndex) => ({ hash, ...frame, frameIndex }));
		this.#directory.push(...entries);
		this.#at += storedBytes;
		return entries.map((entry) => ({ ...entry, packId: this.packId }));
	}
}

function directoryShape(plainBytes: number): FrameShape {
	return { blocks: 0, compressed: false, plainBytes };
}

/** Where the directory of a pack is, from the pack's last bytes. @throws {SternaError} `invalid` naming the pack. */
export function parseTrailer(packId: PackId, packBytes: number, tail: Uint8Array): { offset: number; length: number } {
	if (packBytes > maxPackBytes || packBytes < packOverheadBytes(0) || tail.length < packTrailerBytes) {
		throw damaged(packId, `it has ${packBytes} bytes, which no pack has`);
	}
	const trailer = Buffer.from(tail.buffer, tail.byteOffset + tail.length - packTrailerBytes, packTrailerBytes);
	const [offset, length] = [trailer.readUInt32LE(0), trailer.readUInt32LE(4)];
	if (!trailerMagic.equals(trailer.subarray(8))) throw damaged(packId, "its end is missing");
	if (offset < packHeaderBytes || offset + length + packTrailerBytes !== packBytes) {
		throw damaged(packId, "its directory is not where its end says");
	}
	if (length < frameOverheadBytes || (length - frameOverheadBytes) % directoryEntryBytes !== 0) {
		throw damaged(packId, "its directory has a length that none has");
	}
	return { offset, length };
}

/**
 * What a pack holds, in order.
 * @param sealed the bytes that `parseTrailer` named, and their `offset`
 * @param plainBytes of one block of this pack
 * @throws {SternaError} `invalid` naming the pack when the seal does not fit, or frames are described that cannot be.
 */
export function parseDirectory(
	packId: PackId,
	sealing: Sealing,
	{ sealed, offset: directoryOffset, plainBytes }: { sealed: Uint8Array; offset: number; plainBytes: number },
): DirectoryEntry[] {
	const directoryBytes = sealed.length - frameOverheadBytes;
	if (directoryBytes === 0) return [];
	const keyNumber = frameKeyNumber(sealed);
	const key = keyNumber === null ? null : sealing.packKey(packId, keyNumber);
	const directory = key && openFrame(key, sealed, directoryShape(directoryBytes));
	if (!directory || directory.length !== directoryBytes)
		throw damaged(packId, "the seal of its directory does not fit");
	const entries: DirectoryEntry[] = [];
	let offset = packHeaderBytes;
	for (let at = 0; at < directory.length; ) {
		const frame = firstOfFrame(packId, directory.readUInt32LE(at + hashBytes), plainBytes);
		if (at + frame.frameBlocks * directoryEntryBytes > directory.length) {
			throw damaged(packId, "its directory lacks blocks of its last frame");
		}
		for (let frameIndex = 0; frameIndex < frame.frameBlocks; frameIndex++, at += directoryEntryBytes) {
			const part = { ...frame, frameIndex };
			if (directory.readUInt32LE(at + hashBytes) !== frameWord(part)) {
				throw damaged(packId, `the blocks of the frame at ${offset} say different things of it in its directory`);
			}
			entries.push({ hash: new Uint8Array(directory.subarray(at, at + hashBytes)), offset, ...part });
		}
		offset += frame.storedBytes;
	}
	if (offset !== directoryOffset) throw damaged(packId, "its directory does not describe its blocks");
	return entries;
}

/** A frame as its first block describes it. */
function firstOfFrame(packId: PackId, word: number, plainBytes: number): FramePart {
	const part = parseFrameWord(word);
	if (part?.frameIndex !== 0) throw damaged(packId, "a frame in its directory does not begin with its first block");
	if (part.frameBlocks > 1 && packKind(packId) === "tree") throw damaged(packId, "it has nodes that share a frame");
	if (!hasFrameLength(part, plainBytes)) throw damaged(packId, "a frame in its directory has a length that none has");
	return part;
}

/** @throws {SternaError} `invalid` when the first bytes are not those of this pack. */
export function checkHeader(packId: PackId, head: Uint8Array): void {
	const kind = packKind(packId) === "tree" ? 1 : 0;
	const own = Buffer.from(packId, "hex");
	const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
	if (bytes.length < packHeaderBytes || !headerMagic.equals(bytes.subarray(0, 4))) {
		throw damaged(packId, "its beginning is no pack's");
	}
	if (bytes[4] !== kind || bytes[6] !== 0 || bytes[7] !== 0 || !own.equals(bytes.subarray(8, packHeaderBytes))) {
		throw damaged(packId, "it is another pack");
	}
}

function damaged(packId: PackId, why: string): SternaError {
	return new SternaError("invalid", `${packKey(packId)} is damaged: ${why}`);
}
