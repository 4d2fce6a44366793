import { access } from "node:fs/promises";
import { join } from "node:path";
import { connectNbd } from "@sterna/nbd/client";
import type { NbdExtent } from "@sterna/nbd/nbd";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ChangeBitmap, EndSnapshot, Hypervisor, SnapshotReport, StartRequest } from "./hypervisor.ts";
import { countsOn, type DriverUnderTest, readCounts, Site, until } from "./testing/site.ts";

const block = 65_536;

/** Saving guests and tracking what changes, part of the contract suite. */
export function describeBackups(make: () => Promise<DriverUnderTest>): void {
	let site: Site;
	let driver: Hypervisor;
	let scratchFolder: string;
	const guests: StartRequest[] = [];

	// One site for all: what is tracked belongs to a guest, and each test has its own.
	beforeAll(async () => {
		const underTest = await make();
		scratchFolder = underTest.folder;
		site = new Site(underTest);
		driver = site.open("a");
		await driver.adopt();
	});
	afterEach(async () => {
		for (const { spec } of guests.splice(0)) await driver.powerOff(spec.id);
	});
	afterAll(() => site.close());

	const startGuest = async (): Promise<StartRequest> => {
		const request = await site.newGuest(driver);
		guests.push(request);
		await driver.start(request);
		await countsOn(driver, request.spec.id);
		return request;
	};
	const newLife = async () => {
		await driver.close();
		driver = site.open("a");
		await driver.adopt();
	};
	const wanted = ({ spec, volumes }: StartRequest, mark: string, since: string | null) => ({
		guestId: spec.id,
		mark,
		volumes: volumes.map((volume) => ({ ...volume, since, scratchPath: join(scratchFolder, `${mark}.scratch`) })),
	});
	const take = (request: StartRequest, mark: string, since: string | null = null) =>
		driver.takeSnapshot({ ...wanted(request, mark, since), freeze: false });
	const end = (request: StartRequest, mark: string, since: string | null, outcome: EndSnapshot["outcome"]) =>
		driver.endSnapshot({ ...wanted(request, mark, since), outcome });
	const bitmaps = async ({ spec, volumes }: StartRequest): Promise<ChangeBitmap[]> => {
		const [tracking] = await driver.changeTracking(spec.id, volumes);
		return (tracking?.bitmaps ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1));
	};
	const unharmed = async (request: StartRequest) => {
		await countsOn(driver, request.spec.id);
		const counts = await readCounts(driver, request.spec.id);
		expect(counts).toEqual(counts.map((_, index) => index + 1));
	};
	const nothingLeft = async (request: StartRequest, mark: string) => {
		for (const { scratchPath } of wanted(request, mark, null).volumes) {
			await expect(access(scratchPath)).rejects.toMatchObject({ code: "ENOENT" });
		}
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(false);
	};

	test("a snapshot of a running guest shows one instant for as long as it is open, and the guest runs on", async () => {
		const request = await startGuest();
		const before = (await readCounts(driver, request.spec.id)).at(-1) ?? 0;
		const snapshot = await take(request, "st-a");
		expect(snapshot).toMatchObject({ consistency: "crash", remark: null, frozenMs: null });
		const shown = await readCount(snapshot);
		expect(shown).toBeGreaterThanOrEqual(before);
		await countsOn(driver, request.spec.id, 5);
		expect(await readCount(snapshot)).toBe(shown);
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(true);
		await end(request, "st-a", null, "committed");
		await unharmed(request);
		await nothingLeft(request, "st-a");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true, inconsistent: false }]);
	});

	test("the next snapshot names the blocks that changed since the last one that was kept", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		await countsOn(driver, request.spec.id);
		const snapshot = await take(request, "st-b", "st-a");
		expect(await dirtyExtents(snapshot)).toEqual([{ offset: 0, lengthBytes: block, flags: 1 }]);
		expect((await bitmaps(request)).map(({ name, recording }) => [name, recording])).toEqual([
			["st-a", false],
			["st-b", true],
		]);
		await end(request, "st-b", "st-a", "committed");
		expect((await bitmaps(request)).map(({ name }) => name)).toEqual(["st-b"]);
		await unharmed(request);
	});

	test("after a snapshot that failed it is as if there had been none: the changes count from the last one that was kept", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		await driver.pause(request.spec.id);
		await take(request, "st-b", "st-a");
		await driver.resume(request.spec.id);
		await countsOn(driver, request.spec.id);
		await end(request, "st-b", "st-a", "failed");
		await end(request, "st-b", "st-a", "failed");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true, dirtyBytes: block }]);
		await nothingLeft(request, "st-b");
		await unharmed(request);
	});

	test("with a point that is kept go the bitmaps of points that are gone, and those of other repositories stay", async () => {
		const request = await startGuest();
		const names = async () => (await bitmaps(request)).map(({ name }) => name);
		const endWithStale = (mark: string, outcome: EndSnapshot["outcome"], stale: string[], since = "st-a") => {
			const { volumes, ...snapshot } = wanted(request, mark, since);
			return driver.endSnapshot({ ...snapshot, volumes: volumes.map((volume) => ({ ...volume, stale })), outcome });
		};
		for (const mark of ["st-a", "st-gone", "st-other"]) {
			await take(request, mark);
			await end(request, mark, null, "committed");
		}
		await take(request, "st-b", "st-a");
		await endWithStale("st-b", "failed", ["st-gone"]);
		expect(await names()).toEqual(["st-a", "st-gone", "st-other"]);
		await take(request, "st-b", "st-a");
		// The chain's own bitmap and the present mark may be named by mistake: the one goes anyway, the other never does.
		await endWithStale("st-b", "committed", ["st-gone", "st-a", "st-b", "st-never"]);
		expect(await names()).toEqual(["st-b", "st-other"]);
		await unharmed(request);
		expect(await bitmaps(request)).toMatchObject([
			{ name: "st-b", recording: true, dirtyBytes: block },
			{ name: "st-other", recording: true, dirtyBytes: block },
		]);
		// The same in the files of a guest that does not run.
		await driver.powerOff(request.spec.id);
		await take(request, "st-c", "st-b");
		await endWithStale("st-c", "committed", ["st-other"], "st-b");
		expect(await names()).toEqual(["st-c"]);
	});

	test("of a paused guest nothing has changed, and that is what its bitmap says", async () => {
		const request = await startGuest();
		await driver.pause(request.spec.id);
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		const snapshot = await take(request, "st-b", "st-a");
		expect(await dirtyExtents(snapshot)).toEqual([]);
		await end(request, "st-b", "st-a", "committed");
		await driver.resume(request.spec.id);
		await unharmed(request);
	});

	test("one snapshot of a guest at a time, and none since a bitmap that is not there: what is refused changes nothing", async () => {
		const request = await startGuest();
		await expect(take(request, "st-b", "st-a")).rejects.toMatchObject({ code: "wrong_state" });
		await expect(take(request, "St B")).rejects.toMatchObject({ code: "invalid" });
		expect(await bitmaps(request)).toEqual([]);
		const snapshot = await take(request, "st-a");
		const shown = await readCount(snapshot);
		await expect(take(request, "st-c")).rejects.toMatchObject({ code: "conflict" });
		expect(await readCount(snapshot)).toBe(shown);
		expect((await bitmaps(request)).map(({ name }) => name)).toEqual(["st-a"]);
		await end(request, "st-a", null, "failed");
		await nothingLeft(request, "st-a");
		await unharmed(request);
	});

	test("ending what was never taken, or again, is no change", async () => {
		const request = await startGuest();
		await end(request, "st-a", null, "failed");
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		await end(request, "st-a", null, "committed");
		expect((await bitmaps(request)).map(({ name }) => name)).toEqual(["st-a"]);
		await unharmed(request);
	});

	test("a new life of the driver finds the snapshot open, and ends it", async () => {
		const request = await startGuest();
		const snapshot = await take(request, "st-a");
		const shown = await readCount(snapshot);
		await newLife();
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(true);
		expect(await readCount(snapshot)).toBe(shown);
		await end(request, "st-a", null, "committed");
		await nothingLeft(request, "st-a");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true }]);
		await unharmed(request);
	});

	test("a guest that is not running is saved too, cannot be started meanwhile, and its chain goes on", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		await countsOn(driver, request.spec.id);
		await driver.powerOff(request.spec.id);
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true, dirtyBytes: block }]);
		const counted = await countIn(request);
		const snapshot = await take(request, "st-b", "st-a");
		expect(snapshot).toMatchObject({ consistency: "stopped", remark: null, frozenMs: null });
		expect(await dirtyExtents(snapshot)).toEqual([{ offset: 0, lengthBytes: block, flags: 1 }]);
		expect(await readCount(snapshot)).toBe(counted);
		await expect(driver.start(request)).rejects.toMatchObject({ code: "conflict" });
		await newLife();
		await expect(driver.start(request)).rejects.toMatchObject({ code: "conflict" });
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(true);
		await end(request, "st-b", "st-a", "committed");
		await nothingLeft(request, "st-b");
		await driver.start(request);
		await until(async () => (await bitmaps(request)).some(({ dirtyBytes }) => dirtyBytes > 0), "changes are tracked");
		expect((await bitmaps(request)).map(({ name, recording }) => [name, recording])).toEqual([["st-b", true]]);
	});

	test("a stopped guest's snapshot that failed leaves the chain as it was", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		await countsOn(driver, request.spec.id);
		await driver.powerOff(request.spec.id);
		await take(request, "st-b", "st-a");
		await end(request, "st-b", "st-a", "failed");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true, dirtyBytes: block }]);
	});

	test("a guest that is powered off breaks its snapshot, not its chain", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		const snapshot = await take(request, "st-b", "st-a");
		await countsOn(driver, request.spec.id);
		await driver.powerOff(request.spec.id);
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(false);
		await expect(readCount(snapshot)).rejects.toMatchObject({ code: "unavailable" });
		await end(request, "st-b", "st-a", "failed");
		await nothingLeft(request, "st-b");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", recording: true, dirtyBytes: block }]);
		await driver.start(request);
		await until(async () => (await readCounts(driver, request.spec.id)).length > 3, "it counts again");
	});

	test("after a guest's process was killed no bitmap is trusted, and none is left by the end of the snapshot", async () => {
		const request = await startGuest();
		await take(request, "st-a");
		await end(request, "st-a", null, "committed");
		// Written into the file at an orderly end, and in use from the next start on.
		await driver.powerOff(request.spec.id);
		await driver.start(request);
		await take(request, "st-b", "st-a");
		await site.kill(driver, request.spec.id);
		await until(async () => (await driver.inspect(request.spec.id)).state === "absent", "the guest is gone");
		expect(await bitmaps(request)).toMatchObject([{ name: "st-a", inconsistent: true }]);
		await expect(take(request, "st-c", "st-a")).rejects.toMatchObject({ code: "wrong_state" });
		await end(request, "st-b", "st-a", "failed");
		expect(await bitmaps(request)).toEqual([]);
		await driver.start(request);
	});

	async function countIn({ volumes }: StartRequest): Promise<number> {
		const [location] = volumes;
		if (!location) throw new Error("the guest has no volume");
		return site.readCount(location);
	}
}

/** What the counting guest's disk shows in the snapshot. */
async function readCount(snapshot: SnapshotReport): Promise<number> {
	const client = await openFirst(snapshot);
	try {
		return Buffer.from(await client.read(512, 4)).readUInt32LE();
	} finally {
		await client.close();
	}
}

async function dirtyExtents(snapshot: SnapshotReport): Promise<NbdExtent[]> {
	const context = snapshot.volumes[0]?.changes;
	if (!context) throw new Error("the snapshot tells no changes");
	const client = await openFirst(snapshot, [context]);
	const dirty: NbdExtent[] = [];
	for await (const extent of client.extents(context, 0, client.sizeBytes)) if (extent.flags === 1) dirty.push(extent);
	await client.close();
	return dirty;
}

function openFirst({ socket, volumes }: SnapshotReport, contexts: string[] = []) {
	const [volume] = volumes;
	if (!volume) throw new Error("the snapshot has no volume");
	return connectNbd({ socketPath: socket, exportName: volume.volumeId, contexts });
}
