import type { KeyObject } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { type BlockSeal, blockKeyNumber, blockOverheadBytes, maxOrdinal, openBlock, sealBlock } from "./block.ts";
import { type PackId, packIdBytes, packKey, packKind } from "./pack-id.ts";
import { hashBytes, type Reference } from "./reference.ts";
import type { Sealing } from "./sealing.ts";

/** A pack: header, sealed blocks one after the other, sealed directory, trailer. */
export const packHeaderBytes = 8 + packIdBytes;
export const packTrailerBytes = 12;
/** A directory's entry: hash, then u32 with the sealed length in the low 24 bits and "compressed" in the highest. */
export const directoryEntryBytes = hashBytes + 4;
/** Blocks of one pack; keeps directories under 300 KiB. */
export const maxPackBlocks = 8192;
export const packTargetBytes = 16 * 1024 * 1024;
/** What any pack may have at most; a reader refuses more. */
export const maxPackBytes = 64 * 1024 * 1024;

const headerMagic = Buffer.from("STP1", "ascii");
const trailerMagic = Buffer.from("STPE", "ascii");
const compressedBit = 0x8000_0000;
const directoryHash = new Uint8Array(hashBytes);

export interface DirectoryEntry {
	hash: Uint8Array;
	offset: number;
	storedBytes: number;
	compressed: boolean;
}

/** Bytes around the blocks of a pack that has `blocks` of them. */
export function packFrameBytes(blocks: number): number {
	return packHeaderBytes + blockOverheadBytes + blocks * directoryEntryBytes + packTrailerBytes;
}

/** Fills one pack in `buffer`, which must hold the blocks and `packFrameBytes`. */
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
		return this.#at - packHeaderBytes + packFrameBytes(this.blocks);
	}

	/** Keys and numbers for `count` blocks that are sealed elsewhere and then given to `append`. */
	reserve(count: number): BlockSeal {
		const ordinal = this.#nextOrdinal;
		this.#nextOrdinal += count;
		if (this.#nextOrdinal >= maxOrdinal) throw new SternaError("internal", "a pack has no more ordinals");
		return { key: this.#key, keyNumber: this.#keyNumber, ordinal };
	}

	/** Takes a block that was sealed with a reserved number. */
	append(hash: Uint8Array, sealed: Uint8Array, compressed: boolean): Reference {
		this.#buffer.set(sealed, this.#at);
		return this.#entered(hash, sealed.length, compressed);
	}

	/** Seals a payload (plain, or its zstd frame) and takes it. */
	seal(hash: Uint8Array, payload: Uint8Array, block: { compressed: boolean; plainBytes: number }): Reference {
		const storedBytes = sealBlock(this.#buffer, this.#at, { ...block, seal: this.reserve(1), hash, payload });
		return this.#entered(hash, storedBytes, block.compressed);
	}

	/** The whole pack: a view of the buffer. */
	finish(): Uint8Array {
		const directory = new Uint8Array(this.blocks * directoryEntryBytes);
		const numbers = new DataView(directory.buffer);
		for (const [index, { hash, storedBytes, compressed }] of this.#directory.entries()) {
			const at = index * directoryEntryBytes;
			directory.set(hash, at);
			numbers.setUint32(at + hashBytes, (storedBytes | (compressed ? compressedBit : 0)) >>> 0, true);
		}
		const directoryAt = this.#at;
		this.#at += sealBlock(this.#buffer, directoryAt, {
			seal: { key: this.#key, keyNumber: this.#keyNumber, ordinal: maxOrdinal },
			hash: directoryHash,
			compressed: false,
			plainBytes: directory.length,
			payload: directory,
		});
		const trailer = new DataView(this.#buffer.buffer, this.#buffer.byteOffset + this.#at, packTrailerBytes);
		trailer.setUint32(0, directoryAt, true);
		trailer.setUint32(4, this.#at - directoryAt, true);
		this.#buffer.set(trailerMagic, this.#at + 8);
		return this.#buffer.subarray(0, this.#at + packTrailerBytes);
	}

	#entered(hash: Uint8Array, storedBytes: number, compressed: boolean): Reference {
		const offset = this.#at;
		this.#directory.push({ hash, offset, storedBytes, compressed });
		this.#at += storedBytes;
		return { hash, packId: this.packId, offset, storedBytes, compressed };
	}
}

/** Where the directory of a pack is, from the pack's last bytes. @throws {SternaError} `invalid` naming the pack. */
export function parseTrailer(packId: PackId, packBytes: number, tail: Uint8Array): { offset: number; length: number } {
	if (packBytes > maxPackBytes || packBytes < packFrameBytes(0) || tail.length < packTrailerBytes) {
		throw damaged(packId, `it has ${packBytes} bytes, which no pack has`);
	}
	const trailer = Buffer.from(tail.buffer, tail.byteOffset + tail.length - packTrailerBytes, packTrailerBytes);
	const [offset, length] = [trailer.readUInt32LE(0), trailer.readUInt32LE(4)];
	if (!trailerMagic.equals(trailer.subarray(8))) throw damaged(packId, "its end is missing");
	if (offset < packHeaderBytes || offset + length + packTrailerBytes !== packBytes) {
		throw damaged(packId, "its directory is not where its end says");
	}
	if (length < blockOverheadBytes || (length - blockOverheadBytes) % directoryEntryBytes !== 0) {
		throw damaged(packId, "its directory has a length that none has");
	}
	return { offset, length };
}

/** What a pack holds, in order. `sealed`: the bytes that `parseTrailer` named. @throws {SternaError} `invalid` naming the pack. */
export function parseDirectory(
	packId: PackId,
	sealing: Sealing,
	sealed: Uint8Array,
	directoryOffset: number,
): DirectoryEntry[] {
	const plainBytes = sealed.length - blockOverheadBytes;
	if (plainBytes === 0) return [];
	const keyNumber = blockKeyNumber(sealed);
	const key = keyNumber === null ? null : sealing.packKey(packId, keyNumber);
	const directory = key && openBlock(key, sealed, { hash: directoryHash, compressed: false, plainBytes });
	if (!directory || directory.length !== plainBytes) throw damaged(packId, "the seal of its directory does not fit");
	const entries: DirectoryEntry[] = [];
	let offset = packHeaderBytes;
	for (let at = 0; at < directory.length; at += directoryEntryBytes) {
		const lengthAndFlags = directory.readUInt32LE(at + hashBytes);
		const storedBytes = lengthAndFlags & 0x00ff_ffff;
		const hash = new Uint8Array(directory.subarray(at, at + hashBytes));
		entries.push({ hash, offset, storedBytes, compressed: (lengthAndFlags & compressedBit) !== 0 });
		offset += storedBytes;
	}
	if (offset !== directoryOffset) throw damaged(packId, "its directory does not describe its blocks");
	return entries;
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
