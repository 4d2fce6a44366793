import { SternaError } from "@sterna/shared/errors";
import { beforeEach, expect, test } from "vitest";
import { openParts } from "../open.ts";
import type { Opened } from "../opened.ts";
import type { Repository } from "../repository.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { backUp, commitAs, newId, newRepository, PointId, restored, testKey, VolumeId } from "../testing/points.ts";
import { collect } from "./collect.ts";
import { silentMs } from "./dead-sessions.ts";

const options = { signal: new AbortController().signal };
const volumeId = newId(VolumeId);
const blockSizeBytes = 64 * 1024;
let storage: MemoryStorage;
let repository: Repository;
let opened: Opened;

beforeEach(async () => {
	storage = new MemoryStorage();
	const made = await newRepository({ storage, blockSizeBytes, codec: inlineCodec() });
	repository = made.repository;
	opened = { ...(await openParts(storage, { repositoryId: made.repositoryId, key: testKey })), codec: inlineCodec() };
});

/** Different in every block for each `version`, and not compressible. */
function contentOf(version: number): Uint8Array {
	const content = new Uint8Array(1024 * 1024);
	for (let at = 0, state = version; at < content.length; at++) {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		content[at] = state >>> 16;
	}
	return content;
}

const keys = (prefix: string) => [...storage.objects.keys()].filter((key) => key.startsWith(prefix));

test("what only pruned points need is freed by one collection when nobody writes; the next finds nothing to do", async () => {
	const first = await backUp(repository, { volumeId, content: contentOf(1) });
	const second = await backUp(repository, { volumeId, content: contentOf(2) });
	await repository.prune([first.pointId]);
	const { freedBytes, waitingFor } = await collect(opened, options);
	expect(freedBytes).toBeGreaterThan(1024 * 1024);
	expect(waitingFor).toBe(0);
	expect([keys("points/").length, keys("pruned/").length, keys("ledger/").length]).toEqual([1, 0, 1]);
	expect(Buffer.compare(await restored(repository, second.pointId, volumeId), contentOf(2))).toBe(0);
	const before = keys("");
	expect(await collect(opened, options)).toEqual({ freedBytes: 0, waitingFor: 0, lockFailures: null });
	expect(keys("")).toEqual(before);
});

test("a session that began before keeps what its parent holds, however long it takes", async () => {
	const parent = await backUp(repository, { volumeId, content: contentOf(1) });
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: parent.pointId });
	await repository.prune([parent.pointId]);
	expect(await collect(opened, options)).toEqual({ freedBytes: 0, waitingFor: 1, lockFailures: null });
	expect(await collect(opened, options)).toEqual({ freedBytes: 0, waitingFor: 1, lockFailures: null });
	await session.volume({ volumeId, sizeBytes: 1024 * 1024, inherit: true }).finish();
	const point = await commitAs(session, parent.pointId, [volumeId]);
	await collect(opened, options);
	expect(Buffer.compare(await restored(repository, point.pointId, volumeId), contentOf(1))).toBe(0);
	expect(keys("points/")).toHaveLength(1);
});

test("a session that is silent for an hour is dead: its space is freed, and it never becomes a point", async () => {
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const writer = session.volume({ volumeId, sizeBytes: 1024 * 1024, inherit: false });
	await writer.write(0, contentOf(1));
	await writer.finish();
	await collect(opened, options, () => 1_000_000);
	await collect(opened, options, () => 1_000_000 + silentMs - 1);
	expect(keys("sessions/")).toHaveLength(1);
	await collect(opened, options, () => 1_000_000 + silentMs);
	expect(keys("sessions/")).toHaveLength(0);
	await expect(commitAs(session, null, [volumeId])).rejects.toMatchObject({ code: "conflict" });
	expect((await repository.points()).points).toEqual([]);
	await collect(opened, options);
	expect(keys("packs/")).toEqual([]);
});

test("nothing is freed while a manifest is missing; pruning the lost point accepts the loss", async () => {
	const lost = await backUp(repository, { volumeId, content: contentOf(1) });
	await backUp(repository, { volumeId, content: contentOf(2) });
	storage.objects.delete(`points/${lost.pointId}`);
	const packs = keys("packs/");
	await expect(collect(opened, options)).rejects.toMatchObject({ code: "invalid" });
	expect(keys("packs/")).toEqual(packs);
	await repository.prune([lost.pointId]);
	await collect(opened, options);
	expect(keys("packs/").length).toBeLessThan(packs.length);
});

test("a point whose manifest is damaged can be pruned and collected", async () => {
	const damaged = await backUp(repository, { volumeId, content: contentOf(1) });
	const kept = await backUp(repository, { volumeId, content: contentOf(2) });
	storage.objects.set(`points/${damaged.pointId}`, new Uint8Array(100));
	await repository.prune([damaged.pointId]);
	await collect(opened, options);
	expect(keys("points/")).toEqual([`points/${kept.pointId}`]);
	expect((await repository.scrub(options)).damages).toEqual([]);
});

test("a round whose record is lost or damaged is closed, and the next takes over", async () => {
	const first = await backUp(repository, { volumeId, content: contentOf(1) });
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	await repository.prune([first.pointId]);
	await collect(opened, options);
	storage.objects.set(keys("collections/0")[0] ?? "", new Uint8Array(50));
	await session.abandon();
	await collect(opened, options);
	expect(keys("packs/")).toEqual([]);
	expect((await repository.scrub(options)).damages).toEqual([]);
});

test("what is locked stays condemned until it may go", async () => {
	const first = await backUp(repository, { volumeId, content: contentOf(1) });
	await repository.prune([first.pointId]);
	let isLocked = true;
	const remove = storage.remove.bind(storage);
	storage.remove = async (key) => {
		if (isLocked && /^(packs|points)\//.test(key)) throw new SternaError("forbidden", `${key} is locked`);
		await remove(key);
	};
	expect((await collect(opened, options)).freedBytes).toBe(0);
	expect((await collect(opened, options)).freedBytes).toBe(0);
	expect((await repository.points()).points).toEqual([]);
	isLocked = false;
	expect((await collect(opened, options)).freedBytes).toBeGreaterThan(1024 * 1024);
	expect([...keys("packs/"), ...keys("points/")]).toEqual([]);
});
