import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { newId, RepositoryId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { hashBlock, runOpen } from "../codec/jobs.ts";
import { type FramePart, frameOverheadBytes, frameWord, maxOrdinal, sealFrame } from "../format/frame.ts";
import { newKeyring } from "../format/keyring.ts";
import {
	directoryEntryBytes,
	PackBuilder,
	packHeaderBytes,
	packOverheadBytes,
	parseDirectory,
} from "../format/pack.ts";
import { newPackId, type PackId, packKey } from "../format/pack-id.ts";
import { hashBytes } from "../format/reference.ts";
import { Sealing } from "../format/sealing.ts";

const plainBytes = 4096;
const sealing = new Sealing(newId(RepositoryId), newKeyring());
const dataPack = newPackId("0123456789abcdef", "data");
const treePack = newPackId("0123456789abcdef", "tree");
const keyOf = (packId: PackId) => {
	const key = sealing.packKey(packId, 0);
	if (!key) throw new Error("the keyring has its first key");
	return key;
};

/** What a pack's directory is read as whose entries have these words; its seal fits. */
function parse(words: readonly number[], { packId = dataPack, framesBytes = 0, directoryBlocks = 0 } = {}) {
	const directory = Buffer.alloc(words.length * directoryEntryBytes);
	for (const [index, word] of words.entries()) directory.writeUInt32LE(word, index * directoryEntryBytes + hashBytes);
	const sealed = new Uint8Array(directory.length + frameOverheadBytes);
	const seal = { key: keyOf(packId), keyNumber: 0, ordinal: maxOrdinal };
	const shape = { blocks: directoryBlocks, compressed: false, plainBytes: directory.length };
	sealFrame(sealed, 0, { seal, shape, payload: directory });
	return parseDirectory(packId, sealing, { sealed, offset: packHeaderBytes + framesBytes, plainBytes });
}

const part = (frameBlocks: number, frameIndex: number, changed: Partial<FramePart> = {}) =>
	frameWord({ storedBytes: 5000, compressed: true, frameBlocks, frameIndex, ...changed });

describe("a directory that lies about frames is refused, by the name of its pack", () => {
	const lies: [string, number[], number][] = [
		["an index that the frame does not have", [part(1, 1, { storedBytes: 1000 })], 1000],
		["a frame that begins with its second block", [part(2, 1), part(2, 0)], 5000],
		["a frame without its last block", [part(3, 0), part(3, 1)], 5000],
		["a frame in whose middle a block is missing", [part(3, 0), part(3, 2), part(1, 0)], 10_000],
		["a block twice", [part(2, 0), part(2, 0), part(2, 1)], 10_000],
		["blocks that disagree about the length", [part(2, 0), part(2, 1, { storedBytes: 5001 })], 5000],
		["blocks that disagree about compression", [part(2, 0), part(2, 1, { compressed: false })], 5000],
		["blocks that disagree about their number", [part(2, 0), part(3, 1)], 5000],
		["a length over what its blocks can have", [part(1, 0, { storedBytes: 4117 })], 4117],
		["a length under what a seal takes", [part(1, 0, { storedBytes: 20 })], 20],
		["plain blocks of another length than theirs", [part(1, 0, { storedBytes: 4115, compressed: false })], 4115],
		["no length", [part(1, 0, { storedBytes: 0 })], 0],
		["an unknown flag", [(part(1, 0, { storedBytes: 1000 }) | (1 << 28)) >>> 0], 1000],
		["frames that end before the directory begins", [part(2, 0), part(2, 1)], 5001],
		["each block counted with the whole frame", [part(2, 0), part(2, 1)], 10_000],
	];
	test.each(lies)("%s", (_lie, words, framesBytes) => {
		const wanted = { code: "invalid", message: expect.stringContaining(packKey(dataPack)) };
		expect(() => parse(words, { framesBytes })).toThrow(expect.objectContaining(wanted));
	});

	test("nodes that share a frame", () => {
		const words = [part(2, 0), part(2, 1)];
		expect(() => parse(words, { packId: treePack, framesBytes: 5000 })).toThrow(/nodes that share a frame/);
	});

	test("a frame of blocks in the place of a directory", () => {
		const words = [part(2, 0), part(2, 1)];
		expect(() => parse(words, { framesBytes: 5000, directoryBlocks: 1 })).toThrow(/seal of its directory/);
	});

	test("one that says how it is is read", () => {
		const plain = { storedBytes: 3 * plainBytes + frameOverheadBytes, compressed: false };
		const words = [part(2, 0), part(2, 1), part(3, 0, plain), part(3, 1, plain), part(3, 2, plain)];
		const entries = parse(words, { framesBytes: 5000 + plain.storedBytes });
		expect(entries.map(({ offset, frameIndex }) => [offset, frameIndex])).toEqual([
			[24, 0],
			[24, 1],
			[5024, 0],
			[5024, 1],
			[5024, 2],
		]);
	});
});

describe("opening a frame", () => {
	const { hashKey } = sealing;
	const blocks = Array.from({ length: 3 }, () => randomBytes(plainBytes));
	const hashes = blocks.map((block) => hashBlock(hashKey, block));

	/** Indexes of what is damaged, when all three blocks of a frame with this payload are wanted. */
	function damagedOf(payload: Uint8Array, how: { compressed: boolean; wanted?: Buffer[]; sealedAs?: number }) {
		const builder = new PackBuilder(dataPack, sealing, new Uint8Array(payload.length + 100 + packOverheadBytes(3)));
		const shape = { compressed: how.compressed, plainBytes: 3 * plainBytes };
		const sealedHashes = hashes.slice(0, how.sealedAs ?? 3);
		const [first] = builder.seal(sealedHashes, payload, shape);
		if (!first) throw new Error("a frame has blocks");
		const sealed = Uint8Array.from(builder.finish());
		const members = [0, 1, 2].map((index) => ({ frameIndex: index, wanted: index }));
		const frame = { at: first.offset, ...first, frameBlocks: 3, members };
		const content = new Uint8Array(3 * plainBytes);
		const wantedHashes = new Uint8Array(Buffer.concat(how.wanted ?? hashes));
		const common = { is: "open" as const, hashKey, plainBytes, keys: new Map([[0, keyOf(dataPack)]]) };
		return runOpen({ ...common, sealed, frames: [frame], hashes: wantedHashes, content }).damaged;
	}

	test("a block whose hash is wrong is damaged alone", () => {
		const wanted = hashes.with(1, randomBytes(32));
		expect(damagedOf(Buffer.concat(blocks), { compressed: false, wanted })).toEqual([1]);
		expect(damagedOf(zstdCompressSync(Buffer.concat(blocks)), { compressed: true, wanted })).toEqual([1]);
		expect(damagedOf(Buffer.concat(blocks), { compressed: false })).toEqual([]);
	});

	test("one that was sealed as another number of blocks, is too short, or unpacks to more, takes all its blocks with it", () => {
		expect(damagedOf(Buffer.concat(blocks), { compressed: false, sealedAs: 2 })).toEqual([0, 1, 2]);
		expect(damagedOf(Buffer.concat(blocks.slice(0, 2)), { compressed: false })).toEqual([0, 1, 2]);
		const more = Buffer.concat([...blocks, Buffer.alloc(64 * 1024 * 1024)]);
		const bomb = zstdCompressSync(more, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
		expect(damagedOf(bomb, { compressed: true })).toEqual([0, 1, 2]);
	});
});
