import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { beforeAll, describe, expect, test } from "vitest";
import { hashBlock } from "./codec/jobs.ts";
import { manifestRecord } from "./format/manifest.ts";
import { PackBuilder, packFrameBytes } from "./format/pack.ts";
import { newPackId, packIdOfKey, packKey, packKind, packOwner, parsePackId } from "./format/pack-id.ts";
import { pointIdOfKey, pointKey, sealRecord } from "./format/records.ts";
import { type Reference, referenceBytes, writeReference } from "./format/reference.ts";
import { createRepository, openParts, openRepository } from "./open.ts";
import type { Opened } from "./opened.ts";
import type { Repository } from "./repository.ts";
import { inlineCodec } from "./testing/inline-codec.ts";
import { MemoryStorage } from "./testing/memory-storage.ts";
import { backUp, newRepository, pointOf, restored, testKey } from "./testing/points.ts";
import { nodeBytes } from "./tree/geometry.ts";
import { TreePacks } from "./write/pack-uploads.ts";

const MiB = 1024 * 1024;
const KiB = 1024;
const codec = inlineCodec();

/** A repository with one point, made once; each test has its own copy. */
async function makePoint() {
	const memory = new MemoryStorage();
	const { repository, repositoryId } = await newRepository({ storage: memory, codec });
	const volumeId = newId(VolumeId);
	const content = Buffer.concat([randomBytes(MiB), Buffer.alloc(64 * KiB, "compressible ")]);
	const disk = Buffer.concat([content, Buffer.alloc(2 * MiB - content.length)]);
	const { pointId } = await backUp(repository, { volumeId, content: disk });
	return { memory, repositoryId, volumeId, content: disk, pointId };
}
let made: Awaited<ReturnType<typeof makePoint>>;
beforeAll(async () => {
	made = await makePoint();
});

async function copyOf({ memory: original, ...known }: typeof made) {
	const memory = new MemoryStorage();
	for (const [key, bytes] of original.objects) memory.objects.set(key, new Uint8Array(bytes));
	const repository = await openRepository(memory, { repositoryId: known.repositoryId, key: testKey, codec });
	return { ...known, memory, repository };
}
const withPoint = () => copyOf(made);
const newKeyOf = (byte: number) => formatRepositoryKey(new Uint8Array(32).fill(byte));

function packOf(memory: MemoryStorage, kind: "data" | "tree"): string {
	const key = [...memory.objects.keys()].find((each) => {
		const packId = packIdOfKey(each);
		return packId && packKind(packId) === kind;
	});
	if (!key) throw new Error(`there is a pack of kind ${kind}`);
	return key;
}

describe("names", () => {
	const hostile = [
		"../../etc/passwd",
		"..%2f",
		"",
		"a".repeat(31),
		"A".repeat(32),
		"g".repeat(32),
		`${"0".repeat(31)}\0`,
	];

	test.each(hostile)("%j names no pack and no point", (name) => {
		expect(() => parsePackId(name)).toThrow(/not the id of a pack/);
		expect(packIdOfKey(`packs/${name}`)).toBeNull();
		expect(packIdOfKey(`packs/${"0".repeat(16)}/${name}`)).toBeNull();
		expect(pointIdOfKey("points/", `points/${name}`)).toBeNull();
	});

	test("a point's id in capitals never becomes a key", () => {
		const pointId = PointId.parse("ABCDEF01-0000-4000-8000-000000000000");
		expect(() => pointKey(pointId)).toThrow(/lower case/);
		expect(pointIdOfKey("points/", `points/${pointId}`)).toBeNull();
	});

	test("objects with other names in the repository's folders are passed over", async () => {
		const { memory, repository, pointId } = await withPoint();
		for (const key of [
			"points/x",
			"pruned/y",
			"sessions/z",
			"collections/1",
			"suspect/none",
			"packs/strange",
			"moved/m",
		]) {
			memory.objects.set(key, new Uint8Array(3));
		}
		expect((await repository.points()).points.map((point) => point.pointId)).toEqual([pointId]);
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: pointId });
		await session.abandon();
	});
});

describe("keys", () => {
	test("a wrong key is refused, and so is one that was not copied exactly", async () => {
		const { memory, repositoryId } = await withPoint();
		const wrong = await formatRepositoryKey(new Uint8Array(32).fill(9));
		await expect(openRepository(memory, { repositoryId, key: wrong })).rejects.toMatchObject({ code: "forbidden" });
		const slip = testKey.replace(/.$/, (last) => (last === "a" ? "b" : "a"));
		await expect(openRepository(memory, { repositoryId, key: slip })).rejects.toMatchObject({ code: "invalid" });
	});

	test("after a replacement the new key opens every point and the old one nothing", async () => {
		const { memory, repository, repositoryId, pointId, volumeId, content } = await withPoint();
		const newKey = await formatRepositoryKey(new Uint8Array(32).fill(9));
		const before = await openRepository(memory, { repositoryId, key: testKey, codec });
		await repository.replaceKey(newKey);
		await expect(openRepository(memory, { repositoryId, key: testKey, codec })).rejects.toMatchObject({
			code: "forbidden",
		});
		const after = await openRepository(memory, { repositoryId, key: newKey, codec });
		expect((await restored(after, pointId, volumeId)).equals(content)).toBe(true);
		const next = await backUp(after, { volumeId: newId(VolumeId), content: randomBytes(MiB) });
		// Who opened it with the old key sees that something was written that the old key does not open.
		await expect(before.openPoint(next.pointId)).rejects.toMatchObject({ code: "forbidden" });
		expect((await restored(repository, next.pointId, next.volumes[0]?.volumeId ?? volumeId)).length).toBe(MiB);
	});

	test("of two replacements at once each new key opens the repository, and the old one does not", async () => {
		const { memory, repository, repositoryId } = await withPoint();
		const [keyA, keyB] = [await newKeyOf(11), await newKeyOf(12)];
		const other = await openRepository(memory, { repositoryId, key: testKey, codec });
		const create = memory.create.bind(memory);
		let isFirst = true;
		memory.create = async (key, data) => {
			const wasFirst = isFirst;
			isFirst = false;
			// The whole of the other one happens after this one has looked and before it writes.
			if (wasFirst) await other.replaceKey(keyB);
			await create(key, data);
		};
		await repository.replaceKey(keyA);
		for (const key of [keyA, keyB]) await openRepository(memory, { repositoryId, key, codec });
		await expect(openRepository(memory, { repositoryId, key: testKey, codec })).rejects.toMatchObject({
			code: "forbidden",
		});
	});

	test("who opened it with a key that was replaced since cannot replace it again", async () => {
		const { memory, repository, repositoryId } = await withPoint();
		const stale = await openRepository(memory, { repositoryId, key: testKey, codec });
		const newKey = await newKeyOf(13);
		await repository.replaceKey(newKey);
		await expect(stale.replaceKey(await newKeyOf(14))).rejects.toMatchObject({ code: "forbidden" });
		await openRepository(memory, { repositoryId, key: newKey, codec });
	});

	test("in a locked bucket is not replaced, and nothing is written", async () => {
		const { memory, repositoryId } = await withPoint();
		const locked = Object.assign(memory, { locked: true });
		const repository = await openRepository(locked, { repositoryId, key: testKey, codec });
		const before = [...memory.objects.keys()];
		await expect(repository.replaceKey(await newKeyOf(15))).rejects.toMatchObject({ code: "incompatible" });
		expect([...memory.objects.keys()]).toEqual(before);
	});

	test("a keyring that was changed is refused", async () => {
		const { memory, repositoryId } = await withPoint();
		const slot = [...memory.objects.keys()].find((key) => key.startsWith("keys/")) ?? "";
		for (const change of [(bytes: Uint8Array) => bytes.fill(0, 20, 21), (bytes: Uint8Array) => bytes.fill(0, 0, 1)]) {
			const bytes = new Uint8Array(memory.objects.get(slot) ?? []);
			memory.objects.set(slot, new Uint8Array(bytes));
			change(memory.objects.get(slot) ?? bytes);
			const opening = openRepository(memory, { repositoryId, key: testKey, codec });
			await expect(opening).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining(slot) });
			memory.objects.set(slot, bytes);
		}
	});
});

describe("the config", () => {
	const good = {
		format: 1,
		repositoryId: newId(RepositoryId),
		blockSizeBytes: 65_536,
		hash: "hmac-sha256",
		createdAt: 1,
	};
	test.each([
		["another format", JSON.stringify({ ...good, format: 2 })],
		["an odd block size", JSON.stringify({ ...good, blockSizeBytes: 65_537 })],
		["a huge block size", JSON.stringify({ ...good, blockSizeBytes: 2 ** 30 })],
		["another hash", JSON.stringify({ ...good, hash: "crc32" })],
		["a name twice", `${JSON.stringify(good).slice(0, -1)},"format":1}`],
		["no JSON", "\0\0\0"],
		["deep JSON", "[".repeat(100_000)],
		["much JSON", `"${"x".repeat(3 * MiB)}"`],
	])("%s is refused", async (_what, text) => {
		const memory = new MemoryStorage();
		await memory.put("config", Buffer.from(text));
		const opening = openRepository(memory, { repositoryId: good.repositoryId, key: testKey });
		await expect(opening).rejects.toMatchObject({ code: "invalid" });
	});

	test("another repository at the place is told, an empty place too, and none is written over", async () => {
		const { memory } = await withPoint();
		const other = { repositoryId: newId(RepositoryId), key: testKey };
		await expect(openRepository(memory, other)).rejects.toMatchObject({ code: "conflict" });
		await expect(openRepository(new MemoryStorage(), other)).rejects.toMatchObject({ code: "not_found" });
		await expect(createRepository(memory, other)).rejects.toMatchObject({ code: "conflict" });
	});
});

describe("manifests", () => {
	const unreadable = async (repository: Repository, pointId: PointId) => {
		await expect(repository.openPoint(pointId)).rejects.toMatchObject({ code: "invalid" });
		const listed = await repository.points();
		expect(listed.unreadable.map((each) => each.pointId)).toContain(pointId);
	};

	test("that of another repository, of another point, a changed and a cut one are told and left out", async () => {
		const { memory, repository, pointId } = await withPoint();
		const foreign = await makePoint();
		const other = newId(PointId);
		memory.objects.set(
			pointKey(foreign.pointId),
			foreign.memory.objects.get(pointKey(foreign.pointId)) ?? new Uint8Array(),
		);
		await unreadable(repository, foreign.pointId);
		const own = memory.objects.get(pointKey(pointId)) ?? new Uint8Array();
		memory.objects.set(pointKey(other), new Uint8Array(own));
		await unreadable(repository, other);
		for (const bytes of [
			own.subarray(0, 40),
			own.subarray(0, -1),
			own.with(60, (own[60] ?? 0) ^ 1),
			own.with(4, 200),
		]) {
			memory.objects.set(pointKey(pointId), bytes);
			if (bytes[4] === 200) await expect(repository.openPoint(pointId)).rejects.toMatchObject({ code: "forbidden" });
			else await unreadable(repository, pointId);
		}
	});

	test.each([
		["a time before 1970", { takenAt: -1 }],
		["a time that is no number", { takenAt: "yesterday" }],
		["a name that is too long", { guestName: "x".repeat(100) }],
		["a volume without a tree", { volumes: [{ volumeId: newId(VolumeId) }] }],
	])("%s is refused although the seal fits", async (_what, wrong) => {
		const { memory, repository, repositoryId } = await withPoint();
		const opened = await openParts(memory, { repositoryId, key: testKey, codec });
		const pointId = newId(PointId);
		const point = { ...pointOf(pointId, null, [newId(VolumeId)]), repositoryId, volumes: [], ...wrong };
		memory.objects.set(
			pointKey(pointId),
			sealRecord(opened.sealing, pointKey(pointId), { is: "point", point, roots: [] }),
		);
		await unreadable(repository, pointId);
	});

	test("a time far in the future is only a time", async () => {
		const { memory, repository, repositoryId } = await withPoint();
		const opened = await openParts(memory, { repositoryId, key: testKey, codec });
		const pointId = newId(PointId);
		const point = {
			...pointOf(pointId, null, [newId(VolumeId)], Number.MAX_SAFE_INTEGER - 1),
			repositoryId,
			volumes: [],
		};
		const record = manifestRecord(point, new Map());
		memory.objects.set(pointKey(pointId), sealRecord(opened.sealing, pointKey(pointId), record));
		expect((await repository.points()).points.map((each) => each.pointId)).toContain(pointId);
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: pointId });
		await session.abandon();
	});
});

describe("packs", () => {
	const changes: [string, "data" | "tree", (bytes: Uint8Array) => Uint8Array | null][] = [
		["a bit of a block changed", "data", (bytes) => bytes.with(100_000, (bytes[100_000] ?? 0) ^ 0x10)],
		["the number of a block changed", "data", (bytes) => bytes.with(24, (bytes[24] ?? 0) ^ 1)],
		["the data key of a block changed", "data", (bytes) => bytes.with(27, 7)],
		["cut in the middle", "data", (bytes) => bytes.subarray(0, bytes.length / 2)],
		["empty", "data", () => new Uint8Array()],
		["gone", "data", () => null],
		["a bit of a node changed", "tree", (bytes) => bytes.with(60, (bytes[60] ?? 0) ^ 1)],
		["a tree cut", "tree", (bytes) => bytes.subarray(0, 40)],
		["a tree gone", "tree", () => null],
	];

	test.each(changes)(
		"%s (%s): the restore names volume and bytes, and yields nothing wrong",
		async (_what, kind, change) => {
			const { memory, repository, pointId, volumeId, content } = await withPoint();
			const key = packOf(memory, kind);
			const changed = change(memory.objects.get(key) ?? new Uint8Array());
			if (changed) memory.objects.set(key, new Uint8Array(changed));
			else memory.objects.delete(key);
			const reader = await repository.openPoint(pointId);
			const sink = async (offset: number, data: Uint8Array) => {
				expect(content.subarray(offset, offset + data.length).equals(data)).toBe(true);
			};
			const told = {
				code: "invalid",
				message: expect.stringMatching(new RegExp(`bytes \\d+-\\d+ of volume ${volumeId}`)),
			};
			await expect(reader.restore(volumeId, sink, { signal: AbortSignal.any([]) })).rejects.toMatchObject(told);
			await expect(reader.read(volumeId, 0, content.length)).rejects.toMatchObject(told);
		},
	);

	test("two blocks of a pack that changed places are both refused", async () => {
		const { memory, repository, pointId, volumeId } = await withPoint();
		const bytes = memory.objects.get(packOf(memory, "data")) ?? new Uint8Array();
		const [first, second] = [
			bytes.slice(24, 24 + 64 * KiB + 20),
			bytes.slice(24 + 64 * KiB + 20, 24 + 2 * (64 * KiB + 20)),
		];
		bytes.set(second, 24);
		bytes.set(first, 24 + second.length);
		const reader = await repository.openPoint(pointId);
		for (const offset of [0, 64 * KiB]) {
			await expect(reader.read(volumeId, offset, 10)).rejects.toMatchObject({ code: "invalid" });
		}
	});
});

describe("trees whose seals fit", () => {
	/** A point of 1 MiB whose root is what `make` stores. */
	async function crafted(make: (opened: Opened, trees: TreePacks) => Reference | Promise<Reference>) {
		const { memory, repository, repositoryId } = await withPoint();
		const opened = await openParts(memory, { repositoryId, key: testKey, codec });
		const [pointId, volumeId] = [newId(PointId), newId(VolumeId)];
		const trees = new TreePacks(opened, packOwner(pointId));
		const root = await make(opened, trees);
		await trees.flush();
		const stated = {
			readBytes: 0,
			storedBytes: 0,
			changedBytes: 0,
			read: "whole" as const,
			reason: "firstBackup" as const,
		};
		const volumes = [{ volumeId, sizeBytes: MiB, ...stated }];
		const point = { ...pointOf(pointId, null, [volumeId]), repositoryId, volumes };
		const record = manifestRecord(point, new Map([[volumeId, root]]));
		await memory.put(pointKey(pointId), sealRecord(opened.sealing, pointKey(pointId), record));
		const reader = await repository.openPoint(pointId);
		return reader.read(volumeId, 0, MiB);
	}
	const somewhere = (offset = 24): Reference => ({
		hash: new Uint8Array(32).fill(1),
		packId: newPackId("0".repeat(16), "data"),
		offset,
		storedBytes: 100,
		compressed: false,
	});
	const nodeWith = (slot: number, reference: Reference) => {
		const node = new Uint8Array(nodeBytes);
		writeReference(node, slot * referenceBytes, reference);
		return node;
	};
	/** A block in a pack of its own. */
	async function storeBlock(opened: Opened, payload: Uint8Array, hash: Uint8Array, compressed: boolean) {
		const buffer = new Uint8Array(payload.length + 100 + packFrameBytes(1));
		const builder = new PackBuilder(newPackId("0".repeat(16), "data"), opened.sealing, buffer);
		const reference = builder.seal(hash, payload, { compressed, plainBytes: 64 * KiB });
		await opened.storage.put(packKey(builder.packId), builder.finish());
		return reference;
	}

	test("one that is longer than its disk is refused", async () => {
		const reading = crafted((_opened, trees) => trees.store(nodeWith(16, somewhere())));
		await expect(reading).rejects.toMatchObject({
			code: "invalid",
			cause: { message: expect.stringMatching(/longer than its disk/) },
		});
	});

	test("one that leads to itself cannot be: where a node is read, a block is none", async () => {
		const reading = crafted((opened) => {
			const block = new Uint8Array(randomBytes(64 * KiB));
			return storeBlock(opened, block, hashBlock(opened.sealing.hashKey, block), false);
		});
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
	});

	test("one that leads behind the end of a pack, or to no pack, is refused", async () => {
		const reading = crafted((_opened, trees) => trees.store(nodeWith(0, somewhere(0xffff_ff00))));
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
		const behind = crafted(async (opened, trees) => {
			const block = new Uint8Array(randomBytes(64 * KiB));
			const reference = await storeBlock(opened, block, hashBlock(opened.sealing.hashKey, block), false);
			return trees.store(nodeWith(0, { ...reference, storedBytes: 0x00ff_ffff }));
		});
		await expect(behind).rejects.toMatchObject({ code: "invalid" });
	});

	test("a block that unpacks to a gigabyte is refused without unpacking it", async () => {
		const bomb = zstdCompressSync(Buffer.alloc(256 * MiB), { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
		const before = process.memoryUsage().rss;
		const reading = crafted(async (opened, trees) =>
			trees.store(nodeWith(0, await storeBlock(opened, bomb, new Uint8Array(32).fill(3), true))),
		);
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
		expect(process.memoryUsage().rss - before).toBeLessThan(200 * MiB);
	});

	test("a block with another content than its hash says is refused, and so is one that is too short", async () => {
		for (const payload of [randomBytes(64 * KiB), randomBytes(100)]) {
			const reading = crafted(async (opened, trees) =>
				trees.store(nodeWith(0, await storeBlock(opened, payload, new Uint8Array(32).fill(3), false))),
			);
			await expect(reading).rejects.toMatchObject({ code: "invalid", message: expect.stringMatching(/bytes 0-65536/) });
		}
	});
});
