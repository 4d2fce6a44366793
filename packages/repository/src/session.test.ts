import { randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { afterAll, expect, test } from "vitest";
import { packIdOfKey, packKind } from "./format/pack-id.ts";
import { collectionKey, putRecord, suspectKey } from "./format/records.ts";
import { openParts, openRepository } from "./open.ts";
import { readVisiblePoint } from "./read/points.ts";
import type { Repository } from "./repository.ts";
import type { Storage } from "./storage.ts";
import { CrashingStorage } from "./testing/crashing-storage.ts";
import { inlineCodec } from "./testing/inline-codec.ts";
import { MemoryStorage } from "./testing/memory-storage.ts";
import { backUp, commitAs, newId, newRepository, PointId, restored, testKey, VolumeId } from "./testing/points.ts";
import { walkPoint } from "./tree/walk.ts";
import { beginSession } from "./write/session.ts";

const MiB = 1024 * 1024;
const KiB = 1024;

const open: Repository[] = [];
afterAll(async () => {
	await Promise.all(open.map((repository) => repository.close()));
});
async function repositoryFor(storage: Storage = new MemoryStorage()) {
	const made = await newRepository({ storage });
	open.push(made.repository);
	return made;
}

async function objects(storage: Storage, prefix = ""): Promise<Map<string, number>> {
	const found = new Map<string, number>();
	for await (const { key, sizeBytes } of storage.list(prefix)) found.set(key, sizeBytes);
	return found;
}

async function storedBytes(storage: Storage): Promise<number> {
	return [...(await objects(storage)).values()].reduce((sum, each) => sum + each, 0);
}

test("a session is seen by others until its point is there, and nothing of it before", async () => {
	const { repository, storage } = await repositoryFor();
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const volumeId = newId(VolumeId);
	const writer = session.volume({ volumeId, sizeBytes: MiB, inherit: false });
	await writer.write(0, randomBytes(MiB));
	await writer.finish();
	expect((await objects(storage, "sessions/")).size).toBe(1);
	expect((await repository.points()).points).toEqual([]);
	await expect(repository.openPoint(session.pointId)).rejects.toMatchObject({ code: "not_found" });
	await commitAs(session, null, [volumeId]);
	expect((await objects(storage, "sessions/")).size).toBe(0);
	expect((await repository.points()).points.map(({ pointId }) => pointId)).toEqual([session.pointId]);
});

test("of a commit and an abandonment exactly one wins, and it stays so", async () => {
	const { repository, storage } = await repositoryFor();
	const volumeId = newId(VolumeId);
	const wins = new Set<boolean>();
	for (let steps = 0; steps < 30; steps++) {
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
		await session.volume({ volumeId, sizeBytes: MiB, inherit: false }).finish();
		const committing = commitAs(session, null, [volumeId]);
		for (let step = 0; step < steps; step++) await Promise.resolve();
		const abandoning = repository.abandonSession(session.pointId);
		const [committed, abandoned] = await Promise.allSettled([committing, abandoning]);
		const visible = (await repository.points()).points.some(({ pointId }) => pointId === session.pointId);
		wins.add(visible);
		expect(committed.status === "fulfilled").toBe(visible);
		if (committed.status === "rejected") expect(committed.reason).toMatchObject({ code: "conflict" });
		expect(abandoned).toMatchObject({ status: "fulfilled", value: !visible });
		expect(await repository.abandonSession(session.pointId)).toBe(!visible);
		expect((await objects(storage, "sessions/")).size).toBe(0);
	}
	expect(wins).toEqual(new Set([true, false]));
});

test("a point's id serves one session only", async () => {
	const { repository } = await repositoryFor();
	const pointId = newId(PointId);
	const session = await repository.beginSession({ pointId, parentPointId: null });
	await expect(repository.beginSession({ pointId, parentPointId: null })).rejects.toMatchObject({ code: "conflict" });
	await session.abandon();
	await expect(repository.beginSession({ pointId, parentPointId: null })).rejects.toMatchObject({ code: "conflict" });
});

test("a parent that is unknown, abandoned or pruned is none, and leaves no session behind", async () => {
	const { repository, storage } = await repositoryFor();
	const abandoned = newId(PointId);
	await repository.abandonSession(abandoned);
	const pruned = (await backUp(repository, { volumeId: newId(VolumeId), content: Buffer.alloc(MiB) })).pointId;
	await repository.prune([pruned]);
	for (const parentPointId of [newId(PointId), abandoned, pruned]) {
		const begun = repository.beginSession({ pointId: newId(PointId), parentPointId });
		await expect(begun).rejects.toMatchObject({ code: "not_found" });
	}
	expect((await objects(storage, "sessions/")).size).toBe(0);
});

test("what was written is said and refused clearly: outside, backwards, in parts of blocks, twice", async () => {
	const { repository } = await repositoryFor();
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const volumeId = newId(VolumeId);
	const writer = session.volume({ volumeId, sizeBytes: MiB, inherit: false });
	await writer.write(128 * KiB, new Uint8Array(64 * KiB));
	for (const [offset, length] of [
		[0, 64 * KiB],
		[MiB, 64 * KiB],
		[-64 * KiB, 64 * KiB],
		[192 * KiB, 100],
		[192 * KiB + 1, 64 * KiB],
		[192 * KiB, 2 * MiB],
		[Number.NaN, 64 * KiB],
	] as const) {
		await expect(writer.write(offset, new Uint8Array(length))).rejects.toMatchObject({ code: "invalid" });
		await expect(writer.zero(offset, length)).rejects.toMatchObject({ code: "invalid" });
	}
	expect(() => session.volume({ volumeId, sizeBytes: MiB, inherit: false })).toThrow(/already/);
	expect(() => session.volume({ volumeId: newId(VolumeId), sizeBytes: 100, inherit: false })).toThrow(/volume/);
	await expect(commitAs(session, null, [volumeId])).rejects.toMatchObject({ code: "wrong_state" });
	await writer.finish();
	await expect(writer.finish()).rejects.toMatchObject({ code: "wrong_state" });
	await commitAs(session, null, [volumeId]);
	await expect(commitAs(session, null, [volumeId])).rejects.toMatchObject({ code: "wrong_state" });
});

test("a writer that dies at any call leaves every earlier point whole and nothing else visible", async () => {
	const memory = new MemoryStorage();
	const { repository, repositoryId } = await repositoryFor(memory);
	const volumeId = newId(VolumeId);
	const before = randomBytes(2 * MiB);
	const parent = await backUp(repository, { volumeId, content: before });
	const after = Buffer.from(before);
	for (const block of [0, 7, 31]) randomBytes(64 * KiB).copy(after, block * 64 * KiB);
	const start = new Map(memory.objects);

	let crashes = 0;
	for (let calls = 1; ; calls++) {
		for (const torn of [false, true]) {
			memory.objects.clear();
			for (const [key, data] of start) memory.objects.set(key, data);
			const crashing = new CrashingStorage(memory, calls, torn);
			const dying = await openRepository(crashing, { repositoryId, key: testKey, codec: inlineCodec() }).catch(
				() => null,
			);
			const changed = (block: number) => [0, 7, 31].includes(block);
			const run = dying && backUp(dying, { volumeId, content: after, parentPointId: parent.pointId, changed });
			const committed = await run?.then(
				({ pointId }) => pointId,
				() => null,
			);
			await dying?.close();
			if (crashing.calls < calls) {
				expect(committed).toBeTruthy();
				expect(crashes).toBeGreaterThan(20);
				return;
			}
			crashes++;
			const { points, unreadable } = await repository.points();
			expect(unreadable).toEqual([]);
			for (const { pointId } of points) {
				const content = pointId === parent.pointId ? before : after;
				expect((await restored(repository, pointId, volumeId)).equals(content)).toBe(true);
			}
			expect(points.length).toBeLessThanOrEqual(2);
			expect(points.some(({ pointId }) => pointId === parent.pointId)).toBe(true);
			if (committed) expect(points.some(({ pointId }) => pointId === committed)).toBe(true);
		}
	}
});

test("one changed block of a 4 GiB disk costs at most 1.2 times its bytes, manifest and index included", async () => {
	const { repository, storage } = await repositoryFor();
	const volumeId = newId(VolumeId);
	const sizeBytes = 4096 * MiB;
	const first = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const writer = first.volume({ volumeId, sizeBytes, inherit: false });
	for (let at = 0; at < sizeBytes; at += 64 * MiB) await writer.write(at, randomBytes(64 * KiB));
	await writer.finish();
	await commitAs(first, null, [volumeId]);
	let parentPointId = first.pointId;

	for (const blocks of [[12_345], Array.from({ length: 200 }, (_, index) => index * 327)]) {
		const before = await storedBytes(storage);
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId });
		const next = session.volume({ volumeId, sizeBytes, inherit: true });
		for (const block of blocks) await next.write(block * 64 * KiB, randomBytes(64 * KiB));
		const { changedBytes } = await next.finish();
		await commitAs(session, parentPointId, [volumeId]);
		parentPointId = session.pointId;
		expect(changedBytes).toBe(blocks.length * 64 * KiB);
		expect((await storedBytes(storage)) - before).toBeLessThanOrEqual(1.2 * changedBytes);
	}
});

test("what another point or another guest has is not stored again", async () => {
	const { repository } = await repositoryFor();
	const content = randomBytes(4 * MiB);
	await backUp(repository, { volumeId: newId(VolumeId), content });
	const other = await backUp(repository, {
		volumeId: newId(VolumeId),
		content: Buffer.concat([Buffer.alloc(MiB), content]),
	});
	expect(other.volumes[0]?.storedBytes).toBeLessThan(64 * KiB);
	const twice = await backUp(repository, {
		volumeId: newId(VolumeId),
		content: Buffer.concat(Array(4).fill(randomBytes(MiB))),
	});
	expect(twice.volumes[0]?.storedBytes).toBeLessThan(1.1 * MiB);
});

test("reading a disk whole again stores only what differs from the parent", async () => {
	const { repository } = await repositoryFor();
	const volumeId = newId(VolumeId);
	const content = randomBytes(4 * MiB);
	const first = await backUp(repository, { volumeId, content });
	const next = Buffer.from(content);
	randomBytes(64 * KiB).copy(next, MiB);
	next.fill(0, 2 * MiB, 3 * MiB);
	const second = await backUp(repository, { volumeId, content: next, parentPointId: first.pointId });
	expect(second.volumes[0]).toMatchObject({ readBytes: 4 * MiB, changedBytes: MiB + 64 * KiB });
	expect(second.volumes[0]?.storedBytes).toBeLessThan(80 * KiB);
	expect((await restored(repository, second.pointId, volumeId)).equals(next)).toBe(true);
});

test("blocks of condemned packs and suspect blocks are stored again", async () => {
	const { repository, storage, repositoryId } = await repositoryFor();
	const volumeId = newId(VolumeId);
	const content = randomBytes(MiB);
	const first = await backUp(repository, { volumeId, content });
	const opened = await openParts(storage, { repositoryId, key: testKey });
	const packs = [...(await objects(storage, "packs/")).keys()].map(packIdOfKey);
	const dataPack = packs.find((packId) => packId && packKind(packId) === "data");
	if (!dataPack) throw new Error("a point with data has a data pack");

	const hashes: string[] = [];
	const manifest = await readVisiblePoint(opened, first.pointId);
	for await (const { is, reference } of walkPoint(opened, manifest, { signal: AbortSignal.any([]) })) {
		if (is === "block") hashes.push(Buffer.from(reference.hash).toString("hex"));
	}
	await putRecord(opened, suspectKey(dataPack), { hashes: hashes.slice(0, 3) });
	expect(await repository.damagedVolumes(first.pointId)).toEqual([volumeId]);
	const healed = await backUp(repository, { volumeId, content, parentPointId: first.pointId });
	expect(healed.volumes[0]?.storedBytes).toBeGreaterThan(3 * 64 * KiB);
	expect(healed.volumes[0]?.storedBytes).toBeLessThan(4 * 64 * KiB);
	expect(await repository.damagedVolumes(healed.pointId)).toEqual([]);

	const round = {
		finished: false,
		condemned: [dataPack],
		points: [],
		roundId: crypto.randomUUID(),
		markedAt: 1,
		sessions: [],
	};
	await putRecord(opened, collectionKey(1), round);
	const again = await backUp(repository, { volumeId, content, parentPointId: first.pointId });
	expect(again.volumes[0]?.storedBytes).toBeGreaterThan(12 * 64 * KiB);
	expect((await restored(repository, again.pointId, volumeId)).equals(content)).toBe(true);
	await opened.codec.close();
});

test("a volume does not wait for ever for a block that another volume failed to store", async () => {
	const { repository } = await repositoryFor();
	const opened = await openParts(repository.storage, { repositoryId: repository.repositoryId, key: testKey });
	const codec = inlineCodec();
	const sealing = Promise.withResolvers<never>();
	const failing = { ...opened, codec: { ...codec, seal: () => sealing.promise } };
	const session = await beginSession(failing, { pointId: newId(PointId), parentPointId: null });
	const content = randomBytes(MiB);
	const writers = [newId(VolumeId), newId(VolumeId)].map((volumeId) =>
		session.volume({ volumeId, sizeBytes: MiB, inherit: false }),
	);
	for (const writer of writers) await writer.write(0, content);
	const finished = Promise.allSettled(writers.map((writer) => writer.finish()));
	sealing.reject(new SternaError("internal", "a thread ended"));
	for (const each of await finished) expect(each).toMatchObject({ status: "rejected", reason: { code: "internal" } });
	await session.abandon();
});

test("a storage that fails under a writer fails the writer, with the storage's own error", async () => {
	const memory = new MemoryStorage();
	const { repository } = await repositoryFor(memory);
	memory.put = async () => {
		throw new SternaError("no_capacity", "the disk is full");
	};
	await expect(backUp(repository, { volumeId: newId(VolumeId), content: randomBytes(40 * MiB) })).rejects.toMatchObject(
		{ code: "no_capacity" },
	);
});

test("a session that could not be buried stays to be seen: it explains what it left behind", async () => {
	const memory = new MemoryStorage();
	const { repository, storage } = await repositoryFor(memory);
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const { create } = memory;
	memory.create = async () => {
		throw new SternaError("no_capacity", "the disk is full");
	};
	await session.abandon();
	expect((await objects(storage, "sessions/")).size).toBe(1);
	memory.create = create;
	expect(await repository.abandonSession(session.pointId)).toBe(true);
});
