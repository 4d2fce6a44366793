import { randomBytes } from "node:crypto";
import type { RepositoryDamage } from "@sterna/shared/backup";
import { beforeEach, expect, test } from "vitest";
import { maxFrameBlocks } from "./format/frame.ts";
import { packKey } from "./format/pack-id.ts";
import type { Reference } from "./format/reference.ts";
import { openParts } from "./open.ts";
import type { Opened } from "./opened.ts";
import type { Repository } from "./repository.ts";
import { blocksOf, frameOf, textBlock } from "./testing/frames.ts";
import { inlineCodec } from "./testing/inline-codec.ts";
import { MemoryStorage } from "./testing/memory-storage.ts";
import { backUp, newId, newRepository, restored, testKey, VolumeId } from "./testing/points.ts";

const options = { signal: new AbortController().signal };
const blockBytes = 16 * 1024;
const volumeId = newId(VolumeId);
let storage: MemoryStorage;
let repository: Repository;
let opened: Opened;
/** Frames that were opened since the test began. */
let openedFrames = 0;

beforeEach(async () => {
	storage = new MemoryStorage();
	openedFrames = 0;
	const inline = inlineCodec();
	const codec: typeof inline = {
		...inline,
		open: (job) => {
			openedFrames += job.frames.length;
			return inline.open(job);
		},
	};
	const made = await newRepository({ storage, blockSizeBytes: blockBytes, codec });
	repository = made.repository;
	opened = { ...(await openParts(storage, { repositoryId: made.repositoryId, key: testKey })), codec };
});

/** 64 blocks, of every 16 eight of text, four of noise, four of text and noise by turns. */
function mixedDisk(): Buffer {
	return Buffer.concat(
		Array.from({ length: 64 }, (_, block) => {
			const isText = block % 16 < 8 || (block % 16 >= 12 && block % 2 === 0);
			return isText ? textBlock(block, blockBytes) : randomBytes(blockBytes);
		}),
	);
}

/** The frames of a point's blocks, each with its blocks by their place on the disk, in the order of the disk. */
async function framesOf(pointId: Parameters<typeof blocksOf>[1]) {
	const blocks = [...(await blocksOf(opened, pointId))].map(([block, reference]) => ({ block, reference }));
	return [...Map.groupBy(blocks, ({ reference }) => frameOf(reference)).values()];
}

function only<Value>(value: Value | undefined): Value {
	if (value === undefined) throw new Error("there is one");
	return value;
}

function flipBitOf({ packId, offset, storedBytes }: Reference): void {
	const bytes = Uint8Array.from(storage.objects.get(packKey(packId)) ?? []);
	const at = offset + Math.floor(storedBytes / 2);
	storage.objects.set(packKey(packId), bytes.with(at, (bytes[at] ?? 0) ^ 1));
}

test("new blocks are stored four to a frame, under numbers that no other frame has", async () => {
	const content = mixedDisk();
	const { pointId } = await backUp(repository, { volumeId, content });
	const frames = await framesOf(pointId);
	expect(frames.map((frame) => frame.map(({ reference }) => [reference.frameBlocks, reference.frameIndex]))).toEqual(
		Array.from({ length: 16 }, () => [0, 1, 2, 3].map((index) => [4, index])),
	);
	const compressed = frames.map((frame) => frame[0]?.reference.compressed);
	expect(compressed.slice(0, 4)).toEqual([true, true, false, true]);
	const numbers = frames.map((frame) => {
		const { packId, offset } = only(frame[0]).reference;
		return `${packId} ${Buffer.from(storage.objects.get(packKey(packId)) ?? []).readUInt32LE(offset)}`;
	});
	expect(new Set(numbers).size).toBe(frames.length);
	expect((await restored(repository, pointId, volumeId)).equals(content)).toBe(true);
});

test("what changed is framed among itself: five new blocks are four and one", async () => {
	const content = mixedDisk();
	const first = await backUp(repository, { volumeId, content });
	const changed = [1, 6, 7, 20, 31];
	for (const block of changed) textBlock(1000 + block, blockBytes).copy(content, block * blockBytes);
	const inherited = { parentPointId: first.pointId, changed: (block: number) => changed.includes(block) };
	const second = await backUp(repository, { volumeId, content, ...inherited });
	const blocks = await blocksOf(opened, second.pointId);
	const parts = changed.map((block) => {
		const { frameBlocks, frameIndex } = only(blocks.get(block));
		return [frameBlocks, frameIndex];
	});
	expect(parts).toEqual([
		[4, 0],
		[4, 1],
		[4, 2],
		[4, 3],
		[1, 0],
	]);
	expect((await restored(repository, second.pointId, volumeId)).equals(content)).toBe(true);
});

test("reading on in small steps opens each frame once; so does a restore", async () => {
	const content = mixedDisk();
	const { pointId } = await backUp(repository, { volumeId, content });
	const reader = await repository.openPoint(pointId);
	for (let at = 0; at < content.length; at += 4096) {
		const piece = Buffer.from(await reader.read(volumeId, at, 4096));
		expect(piece.equals(content.subarray(at, at + 4096))).toBe(true);
	}
	await reader.close();
	expect(openedFrames).toBe(64 / maxFrameBlocks);
	openedFrames = 0;
	expect((await restored(repository, pointId, volumeId)).equals(content)).toBe(true);
	expect(openedFrames).toBe(64 / maxFrameBlocks);
});

test("each block of a frame is read by itself, the last first", async () => {
	const content = mixedDisk();
	const { pointId } = await backUp(repository, { volumeId, content });
	for (let block = 63; block >= 0; block--) {
		const reader = await repository.openPoint(pointId);
		const [from, to] = [block * blockBytes + 100, (block + 1) * blockBytes - 100];
		const piece = Buffer.from(await reader.read(volumeId, from, to - from));
		expect(piece.equals(content.subarray(from, to))).toBe(true);
		await reader.close();
	}
});

test("damage in one frame is told of its four blocks and no other; they are not read, and the next backup heals them", async () => {
	const content = mixedDisk();
	const first = await backUp(repository, { volumeId, content });
	const hurt = only((await framesOf(first.pointId))[2]);
	flipBitOf(only(hurt[0]).reference);
	const range = { from: 8 * blockBytes, to: 12 * blockBytes };

	const { damages } = await repository.scrub(options);
	expect(damages).toMatchObject([
		{ object: packKey(only(hurt[0]).reference.packId), text: expect.stringMatching(/^4 of its 64 blocks/) },
	] satisfies Partial<RepositoryDamage>[]);
	expect(damages[0]?.points).toMatchObject([{ pointId: first.pointId, volumeId, ranges: [range] }]);

	const reader = await repository.openPoint(first.pointId);
	for (const block of [8, 9, 10, 11]) {
		await expect(reader.read(volumeId, block * blockBytes, 10)).rejects.toMatchObject({
			code: "invalid",
			message: expect.stringContaining(`bytes ${block * blockBytes}-${(block + 1) * blockBytes} of volume`),
		});
	}
	const around = Buffer.concat([
		await reader.read(volumeId, 0, range.from),
		await reader.read(volumeId, range.to, content.length - range.to),
	]);
	expect(around.equals(Buffer.concat([content.subarray(0, range.from), content.subarray(range.to)]))).toBe(true);
	await reader.close();

	const healed = await backUp(repository, { volumeId, content, parentPointId: first.pointId });
	expect(await repository.damagedVolumes(healed.pointId)).toEqual([]);
	expect((await restored(repository, healed.pointId, volumeId)).equals(content)).toBe(true);
	const before = await blocksOf(opened, first.pointId);
	const moved = [...(await blocksOf(opened, healed.pointId))].filter(
		([block, { packId }]) => packId !== before.get(block)?.packId,
	);
	expect(moved.map(([block]) => block)).toEqual([8, 9, 10, 11]);
});

test("two frames that changed places are damage, and no collection moves them into a new pack", async () => {
	const content = Buffer.concat(Array.from({ length: 64 }, () => randomBytes(blockBytes)));
	const first = await backUp(repository, { volumeId, content });
	const next = Buffer.from(content);
	randomBytes(56 * blockBytes).copy(next, 8 * blockBytes);
	const changed = { parentPointId: first.pointId, changed: (block: number) => block >= 8 };
	const second = await backUp(repository, { volumeId, content: next, ...changed });
	const [a, b] = (await framesOf(first.pointId)).map((frame) => only(frame[0]).reference);
	const { packId, offset, storedBytes } = only(a);
	const bytes = Uint8Array.from(storage.objects.get(packKey(packId)) ?? []);
	const [one, other] = [only(a), only(b)].map((each) => bytes.slice(each.offset, each.offset + storedBytes));
	bytes.set(only(other), offset);
	bytes.set(only(one), only(b).offset);
	storage.objects.set(packKey(packId), bytes);
	await repository.prune([first.pointId]);
	await repository.collect(options);
	expect(storage.objects.has(packKey(packId))).toBe(true);
	const { damages } = await repository.scrub(options);
	expect(damages[0]?.points).toMatchObject([{ pointId: second.pointId, ranges: [{ from: 0, to: 8 * blockBytes }] }]);
});

test("of frames that are needed in part a collection keeps what is needed, framed anew, and the disk stays what it was", async () => {
	const content = mixedDisk();
	const first = await backUp(repository, { volumeId, content });
	// Needed stay: the first two frames whole, and of every other frame one block or two.
	const kept = (block: number) => block < 8 || block % 4 === 1 || block % 16 === 14;
	const next = Buffer.from(content);
	for (let block = 0; block < 64; block++) {
		if (!kept(block)) textBlock(1000 + block, blockBytes).copy(next, block * blockBytes);
	}
	const inherited = { parentPointId: first.pointId, changed: (block: number) => !kept(block) };
	const second = await backUp(repository, { volumeId, content: next, ...inherited });
	const oldPack = only((await blocksOf(opened, first.pointId)).get(0)).packId;
	const before = storage.objects.get(packKey(oldPack))?.length ?? 0;

	await repository.prune([first.pointId]);
	const { freedBytes } = await repository.collect(options);
	expect(storage.objects.has(packKey(oldPack))).toBe(false);
	expect(freedBytes).toBeGreaterThan(before / 3);
	const moved = new Map<number, Reference>();
	for (const [block, reference] of await blocksOf(opened, second.pointId)) {
		if (kept(block)) moved.set(block, only((await opened.packs.moved(reference)) ?? undefined));
	}
	const parts = [...moved].map(([block, { frameBlocks, frameIndex }]) => [block, frameBlocks, frameIndex]);
	expect(parts.slice(0, 12)).toEqual([
		...Array.from({ length: 8 }, (_, block) => [block, 4, block % 4]),
		[9, 4, 0],
		[13, 4, 1],
		[14, 4, 2],
		[17, 4, 3],
	]);
	expect((await repository.scrub(options)).damages).toEqual([]);
	expect((await restored(repository, second.pointId, volumeId)).equals(next)).toBe(true);
	const reader = await repository.openPoint(second.pointId);
	expect(
		Buffer.from(await reader.read(volumeId, 17 * blockBytes, blockBytes)).equals(
			next.subarray(17 * blockBytes, 18 * blockBytes),
		),
	).toBe(true);
	await reader.close();

	// A backup that rests on moved blocks, and a second move of them.
	const third = await backUp(repository, { volumeId, content: next, parentPointId: second.pointId });
	const last = Buffer.from(next);
	for (let block = 0; block < 64; block++) {
		if (block % 8 !== 1) textBlock(2000 + block, blockBytes).copy(last, block * blockBytes);
	}
	const fourth = await backUp(repository, { volumeId, content: last, parentPointId: third.pointId });
	await repository.prune([second.pointId, third.pointId]);
	await repository.collect(options);
	expect((await repository.scrub(options)).damages).toEqual([]);
	expect((await restored(repository, fourth.pointId, volumeId)).equals(last)).toBe(true);
	for (const [block, reference] of await blocksOf(opened, fourth.pointId)) {
		if (block % 8 === 1) expect(await opened.packs.moved(reference)).not.toBeNull();
	}
});
