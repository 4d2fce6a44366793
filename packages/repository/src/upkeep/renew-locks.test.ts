import { SternaError } from "@sterna/shared/errors";
import { beforeEach, expect, test } from "vitest";
import { packKey, parsePackId } from "../format/pack-id.ts";
import { openParts } from "../open.ts";
import type { Opened } from "../opened.ts";
import type { Repository } from "../repository.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { dayMs, LockingStorage } from "../testing/locking-storage.ts";
import { backUp, newId, newRepository, restored, testKey, VolumeId } from "../testing/points.ts";
import { collect } from "./collect.ts";

const options = { signal: new AbortController().signal };
const volumeId = newId(VolumeId);
const lockDays = 10;
const nothingDone = { freedBytes: 0, waitingFor: 0, lockFailures: null };
let storage: LockingStorage;
let repository: Repository;
let opened: Opened;

beforeEach(async () => {
	storage = new LockingStorage(lockDays);
	const made = await newRepository({ storage, codec: inlineCodec() });
	repository = made.repository;
	opened = { ...(await openParts(storage, { repositoryId: made.repositoryId, key: testKey })), codec: inlineCodec() };
});

/** Different in every block, and not compressible. */
function content(): Uint8Array {
	const bytes = new Uint8Array(1024 * 1024);
	for (let at = 0, state = 1; at < bytes.length; at++) {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		bytes[at] = state >>> 16;
	}
	return bytes;
}

const keys = (prefix: string) => [...storage.objects.keys()].filter((key) => key.startsWith(prefix));
const collectAt = (now: number) => {
	storage.now = now;
	return collect(opened, options, () => now);
};
const everyLockedKey = () => ["config", ...keys("keys/"), ...keys("packs/"), ...keys("points/")];

test("what a point of today needs of packs of long ago is locked as long as what was written today", async () => {
	const first = await backUp(repository, { volumeId, content: content() });
	storage.now = 8 * dayMs;
	await backUp(repository, { volumeId, content: content(), parentPointId: first.pointId, changed: (at) => at === 0 });
	expect(await collectAt(8 * dayMs)).toEqual(nothingDone);
	storage.now = 18 * dayMs - 1;
	expect(everyLockedKey().filter((key) => !storage.isLocked(key))).toEqual([]);
	storage.now = 18 * dayMs;
	expect(everyLockedKey().filter((key) => storage.isLocked(key))).toEqual([]);
});

test("locks are extended once a day, however often is collected; a lost note of it only costs calls", async () => {
	await backUp(repository, { volumeId, content: content() });
	await collectAt(dayMs);
	expect(storage.extended.splice(0).sort()).toEqual(everyLockedKey().sort());
	await collectAt(dayMs + 60_000);
	expect(storage.extended).toEqual([]);
	storage.objects.set("collections/locks", new Uint8Array(40));
	await collectAt(dayMs + 120_000);
	expect(storage.extended.splice(0)).toHaveLength(everyLockedKey().length);
	await collectAt(2 * dayMs);
	expect(storage.extended.splice(0)).toHaveLength(everyLockedKey().length);
});

test("a note from a clock that ran ahead does not keep locks from being extended", async () => {
	await backUp(repository, { volumeId, content: content() });
	await collectAt(400 * dayMs);
	storage.extended.length = 0;
	await collectAt(dayMs);
	expect(storage.extended).toHaveLength(everyLockedKey().length);
});

test("a lock that cannot be extended stops nothing, is told, and is tried again by the next collection", async () => {
	const old = await backUp(repository, { volumeId: newId(VolumeId), content: content().fill(3) });
	const unneeded = keys("packs/");
	await backUp(repository, { volumeId, content: content() });
	const [stubborn = ""] = keys("packs/").filter((key) => !unneeded.includes(key));
	await repository.prune([old.pointId]);
	storage.refused.add(stubborn);
	const collected = await collectAt(11 * dayMs);
	expect(collected.freedBytes).toBeGreaterThan(0);
	expect(collected.lockFailures).toEqual({ objects: 1, reason: `the lock of ${stubborn} may not be extended` });
	expect(storage.extended.splice(0).sort()).toEqual(
		everyLockedKey()
			.filter((key) => key !== stubborn)
			.sort(),
	);
	storage.refused.clear();
	expect(await collectAt(11 * dayMs + 60_000)).toEqual(nothingDone);
	expect(storage.extended).toEqual([stubborn]);
	await collectAt(11 * dayMs + 120_000);
	expect(storage.extended).toEqual([stubborn]);
});

test("where no lock can be extended a collection gives up early, says of how many, and begins anew the next time", async () => {
	await backUp(repository, { volumeId, content: content() });
	let calls = 0;
	const extendLock = storage.extendLock.bind(storage);
	storage.extendLock = async () => {
		calls++;
		throw new SternaError("unavailable", "the place does not answer");
	};
	for (const key of Array.from({ length: 100 }, (_, n) => `keys/extra-${n}`)) await storage.put(key, new Uint8Array(1));
	const { lockFailures } = await collectAt(dayMs);
	expect(lockFailures).toEqual({ objects: everyLockedKey().length, reason: "the place does not answer" });
	expect(calls).toBeLessThan(30);
	storage.extendLock = extendLock;
	expect(await collectAt(dayMs + 60_000)).toEqual(nothingDone);
	expect(storage.extended).toHaveLength(everyLockedKey().length);
});

test("what a collection has moved is locked no longer and goes, and what leads to it stays locked", async () => {
	const whole = content();
	const first = await backUp(repository, { volumeId, content: whole });
	const kept = new Uint8Array(whole.length);
	kept.set(whole.subarray(0, 65536));
	const second = await backUp(repository, { volumeId, content: kept });
	await repository.prune([first.pointId]);
	await collectAt(dayMs);
	const moved = keys("moved/").map((key) => packKey(parsePackId(key.slice("moved/".length))));
	expect(moved).toHaveLength(1);
	expect(keys("packs/")).toEqual(expect.arrayContaining(moved));
	for (let day = 2; day <= lockDays + 1; day++) await collectAt(day * dayMs);
	expect(keys("packs/").filter((key) => moved.includes(key))).toEqual([]);
	storage.now += lockDays * dayMs - 1;
	expect([...keys("moved/"), ...everyLockedKey()].filter((key) => !storage.isLocked(key))).toEqual([]);
	expect(Buffer.compare(await restored(repository, second.pointId, volumeId), kept)).toBe(0);
});

test("a damaged point stops collections, but not the locks of all others: everything is locked on", async () => {
	await backUp(repository, { volumeId, content: content() });
	const before = keys("packs/");
	await backUp(repository, { volumeId: newId(VolumeId), content: content().fill(3, 0, 65536) });
	const trees = keys("packs/").filter((key) => !before.includes(key));
	for (const key of trees) storage.objects.set(key, new Uint8Array(40));
	await expect(collectAt(8 * dayMs)).rejects.toMatchObject({ code: "invalid" });
	storage.now = 18 * dayMs - 1;
	expect(everyLockedKey().filter((key) => !storage.isLocked(key))).toEqual([]);
	storage.extended.length = 0;
	await expect(collectAt(8 * dayMs + 60_000)).rejects.toMatchObject({ code: "invalid" });
	expect(storage.extended).toEqual([]);
});
