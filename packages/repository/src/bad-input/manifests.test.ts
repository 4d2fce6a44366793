import { newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { manifestRecord } from "../format/manifest.ts";
import { pointKey, sealRecord } from "../format/records.ts";
import { createRepository, openParts, openRepository } from "../open.ts";
import type { Repository } from "../repository.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { codec, MiB, makePoint, withPoint } from "../testing/point-in-memory.ts";
import { pointOf, testKey } from "../testing/points.ts";

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
