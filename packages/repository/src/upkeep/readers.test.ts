import { SternaError } from "@sterna/shared/errors";
import { beforeEach, expect, test } from "vitest";
import { ReaderId } from "../format/records.ts";
import { openParts } from "../open.ts";
import type { Opened } from "../opened.ts";
import type { PointReader, Repository } from "../repository.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { backUp, newId, newRepository, testKey, VolumeId } from "../testing/points.ts";
import { collect } from "./collect.ts";
import { silentMs } from "./dead-sessions.ts";

const options = { signal: new AbortController().signal };
const volumeId = newId(VolumeId);
const sizeBytes = 1024 * 1024;
const content = Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 7 + (at >> 13)) & 255);
let storage: MemoryStorage;
let repository: Repository;
let opened: Opened;
let readerId: ReaderId;

beforeEach(async () => {
	storage = new MemoryStorage();
	const made = await newRepository({ storage, codec: inlineCodec() });
	repository = made.repository;
	opened = { ...(await openParts(storage, { repositoryId: made.repositoryId, key: testKey })), codec: inlineCodec() };
	readerId = ReaderId.parse(crypto.randomUUID());
});

const keys = (prefix: string) => [...storage.objects.keys()].filter((key) => key.startsWith(prefix));
const isWhole = async (reader: PointReader) => Buffer.compare(await reader.read(volumeId, 0, sizeBytes), content) === 0;

test("a point that is read is pruned, collected twice, and read to its end; then it is freed", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	const reader = await repository.openPoint(pointId, { readerId });
	await repository.prune([pointId]);
	expect((await repository.points()).points).toEqual([]);
	for (const _ of [1, 2]) expect((await collect(opened, options)).freedBytes).toBe(0);
	expect(await isWhole(reader)).toBe(true);
	await reader.close();
	expect((await collect(opened, options)).freedBytes).toBe(0);
	await repository.endReading(readerId);
	expect((await collect(opened, options)).freedBytes).toBeGreaterThan(0);
	expect([...keys("points/"), ...keys("packs/"), ...keys("readers/")]).toEqual([]);
});

test("a restore whose agent started again goes on reading a point that was pruned meanwhile; nobody else sees it", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	await (await repository.openPoint(pointId, { readerId })).close();
	await repository.prune([pointId]);
	await collect(opened, options);
	await expect(repository.openPoint(pointId)).rejects.toMatchObject({ code: "not_found" });
	const other = ReaderId.parse(crypto.randomUUID());
	await expect(repository.openPoint(pointId, { readerId: other })).rejects.toMatchObject({ code: "not_found" });
	expect(keys("readers/")).toEqual([`readers/${readerId}`]);
	expect(await isWhole(await repository.openPoint(pointId, { readerId }))).toBe(true);
});

test("a reader that is silent for an hour is dead; its point goes, and one that wakes up after all is told so", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	const reader = await repository.openPoint(pointId, { readerId });
	await repository.prune([pointId]);
	await collect(opened, options, () => 1_000_000);
	await collect(opened, options, () => 1_000_000 + silentMs - 1);
	expect(keys("readers/")).toHaveLength(1);
	await collect(opened, options, () => 1_000_000 + silentMs);
	expect([...keys("readers/"), ...keys("points/")]).toEqual([]);
	await expect(reader.read(volumeId, 0, sizeBytes)).rejects.toMatchObject({ code: "not_found" });
	const sink = async () => {};
	await expect(reader.restore(volumeId, sink, options)).rejects.toMatchObject({ code: "not_found" });
	await expect(repository.openPoint(pointId, { readerId })).rejects.toMatchObject({ code: "not_found" });
	expect(keys("readers/")).toEqual([]);
});

test("a reader without a hold is told that its point was removed, never that it is damaged", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	const reader = await repository.openPoint(pointId);
	await repository.prune([pointId]);
	await collect(opened, options);
	await expect(reader.read(volumeId, 0, sizeBytes)).rejects.toMatchObject({ code: "not_found" });
});

test("a hold that cannot be read holds every pruned point until it is written again, or dead", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	await repository.openPoint(pointId, { readerId });
	storage.objects.set(`readers/${readerId}`, new Uint8Array(60));
	expect((await repository.scrub(options)).damages).toMatchObject([{ object: `readers/${readerId}` }]);
	await repository.prune([pointId]);
	await collect(opened, options, () => 1_000_000);
	expect(keys("points/")).toHaveLength(1);
	await collect(opened, options, () => 1_000_000 + silentMs);
	expect(keys("points/")).toEqual([]);
});

test("a pruned point that is damaged is held by nobody, so that collections go on; other readers keep theirs", async () => {
	const damaged = await backUp(repository, { volumeId, content });
	const trees = keys("packs/").filter((key) => /^[89a-f]/.test(key.split("/")[2] ?? ""));
	const whole = await backUp(repository, { volumeId: newId(VolumeId), content: content.toReversed() });
	await repository.openPoint(damaged.pointId, { readerId });
	const other = ReaderId.parse(crypto.randomUUID());
	const reader = await repository.openPoint(whole.pointId, { readerId: other });
	for (const key of trees) storage.objects.delete(key);
	await repository.prune([damaged.pointId, whole.pointId]);
	await collect(opened, options);
	expect(keys("points/")).toEqual([`points/${whole.pointId}`]);
	const id = whole.volumes[0]?.volumeId ?? volumeId;
	expect(Buffer.compare(await reader.read(id, 0, sizeBytes), content.toReversed())).toBe(0);
});

test("a point is read from a place that takes nothing, as from a folder that is mounted read-only", async () => {
	const { pointId } = await backUp(repository, { volumeId, content });
	storage.put = async (key) => {
		throw new SternaError("forbidden", `${key}: read-only`);
	};
	expect(await isWhole(await repository.openPoint(pointId, { readerId }))).toBe(true);
});

test("one reader holds one point", async () => {
	const first = await backUp(repository, { volumeId, content });
	const second = await backUp(repository, { volumeId, content });
	await repository.openPoint(first.pointId, { readerId });
	await expect(repository.openPoint(second.pointId, { readerId })).rejects.toMatchObject({ code: "conflict" });
});
