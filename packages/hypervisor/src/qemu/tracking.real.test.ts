import { KiB, MiB } from "@sterna/shared/units";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor, StartRequest, VolumeLocation } from "../hypervisor.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "../testing/qemu-bench.ts";
import { askRescue } from "../testing/rescue.ts";
import { countsOn, Site, until } from "../testing/site.ts";

/*
 * What is tracked of a volume's changes through everything that happens to it. The guest has two: it counts on the first,
 * and the second is written from outside, so that what the bitmap must say is known to the byte.
 */

const never = new AbortController().signal;
const bitmap = "st-0123456789abcdef";
const block = 64 * KiB;

let underTest: QemuUnderTest;
let site: Site;
let a: Hypervisor;
let b: Hypervisor;
let request: StartRequest;
let data: VolumeLocation;
/** What the bitmap of the second volume must say. */
let dirtyBytes: number;

beforeEach(async () => {
	underTest = await makeQemuUnderTest();
	site = new Site(underTest);
	[a, b] = [site.open("a"), site.open("b")];
	await a.adopt();
	await b.adopt();
	const one = await site.newGuest(a);
	data = await site.newVolume(a, 16 * MiB);
	const described = { id: data.volumeId, pool: "local", sizeBytes: 16 * MiB };
	const spec = { ...one.spec, volumes: [...one.spec.volumes, described] };
	request = { ...one, spec, volumes: [...one.volumes, data] };
	await a.start(request);
	dirtyBytes = 0;
	for (const node of ["disk0", "disk1"]) {
		await ask("a", "block-dirty-bitmap-add", { node, name: bitmap, granularity: block, persistent: true });
	}
	for (const at of [0, 3, 7, 8]) await write("a", at);
	await countsOn(a, one.spec.id);
});
afterEach(() => site.close());

const ask = (server: string, execute: string, args: object) =>
	askRescue(underTest.runFolder(server), request.spec.id, execute, args);

/** Writes one more block of the second volume, as the guest would. */
async function write(server: string, atBlock: number): Promise<void> {
	const command = `qemu-io -d /machine/peripheral/vd1/virtio-backend "write ${atBlock * block} 4k"`;
	// What it wrote goes to QEMU's own output; what went wrong comes back.
	expect(await ask(server, "human-monitor-command", { "command-line": command })).toBe("");
	dirtyBytes += block;
}

/** The bitmaps are there, record, and say of the second volume exactly what was written. */
async function expectTracked(driver: Hypervisor, volumes: VolumeLocation[] = request.volumes): Promise<void> {
	const [first, second] = await driver.changeTracking(request.spec.id, volumes);
	const whole = { name: bitmap, recording: true, inconsistent: false, granularityBytes: block };
	expect(first?.bitmaps).toMatchObject([whole]);
	expect(first?.bitmaps[0]?.dirtyBytes).toBeGreaterThan(0);
	expect(second?.bitmaps).toMatchObject([{ ...whole, dirtyBytes }]);
}

/** The guest is ended in order, and its files say what was tracked. */
async function expectKept(driver: Hypervisor, volumes: VolumeLocation[] = request.volumes): Promise<void> {
	await driver.powerOff(request.spec.id);
	await expectTracked(driver, volumes);
}

async function prepare(from: Hypervisor, to: Hypervisor, volumes: StartRequest, copied: boolean) {
	const { machine, seats } = await from.inspect(request.spec.id);
	const copiedVolumes = copied ? volumes.volumes.map(({ volumeId }) => volumeId) : [];
	return to.accept({ ...volumes, machine: machine ?? "", seats, copiedVolumes });
}

async function hop(from: Hypervisor, to: Hypervisor, volumes: StartRequest, copied: boolean): Promise<void> {
	const guestId = request.spec.id;
	const { memorySocket, diskSocket } = await prepare(from, to, volumes, copied);
	if (diskSocket !== null) {
		const disks = volumes.volumes.map(({ volumeId }) => ({ volumeId, socket: diskSocket }));
		await from.copyDisks({ guestId, disks, onProgress: () => undefined }, never);
	}
	await from.copyMemory({ guestId, socket: memorySocket, downtimeLimitMs: 30, onProgress: () => undefined }, never);
	await from.switchOver(guestId, never);
	await until(() => to.isLoaded(guestId), "the target has everything");
	await to.release(guestId);
	await from.powerOff(guestId);
	await countsOn(to, guestId);
}

describe("a move to another server", () => {
	test("with shared volumes, there and back, takes along what is tracked, and it is kept when the guest ends", async () => {
		await hop(a, b, request, false);
		await expectTracked(b);
		await write("b", 20);
		await expectTracked(b);
		await hop(b, a, request, false);
		await write("a", 21);
		await expectTracked(a);
		await expectKept(a);
	});

	test("is not refused because of bitmaps that a killed process left untrusted", async () => {
		const guestId = request.spec.id;
		await a.powerOff(guestId);
		await a.start(request);
		await countsOn(a, guestId);
		await site.kill(a, guestId);
		await until(async () => (await a.inspect(guestId)).state === "absent", "the guest's end is seen");
		await a.start(request);
		await countsOn(a, guestId);
		const untrusted = async (driver: Hypervisor) =>
			(await driver.changeTracking(guestId, request.volumes)).flatMap(({ bitmaps }) => bitmaps).length;
		expect(await untrusted(a)).toBe(2);
		await hop(a, b, request, false);
		expect(await untrusted(b)).toBe(0);
	});

	test("with local volumes, there and back, takes along what is tracked, and it is kept when the guest ends", async () => {
		const there = await site.withOwnVolumes(b, request);
		await hop(a, b, there, true);
		await expectTracked(b);
		await write("b", 20);
		await expectTracked(b);
		const back = await site.withOwnVolumes(a, there);
		await hop(b, a, back, true);
		await write("a", 21);
		await expectTracked(a, back.volumes);
		await expectKept(a, back.volumes);
	});

	test.each([
		["cancelled at the pause", "cancel"],
		["whose target dies at the pause", "kill"],
	])("that is %s leaves the changes tracked where they were", async (_what, how) => {
		const guestId = request.spec.id;
		const there = await site.withOwnVolumes(b, request);
		const { memorySocket, diskSocket } = await prepare(a, b, there, true);
		const disks = request.volumes.map(({ volumeId }) => ({ volumeId, socket: diskSocket ?? "" }));
		await a.copyDisks({ guestId, disks, onProgress: () => undefined }, never);
		await a.copyMemory({ guestId, socket: memorySocket, downtimeLimitMs: 30, onProgress: () => undefined }, never);
		if (how === "kill") {
			await site.kill(b, guestId);
			await expect(a.switchOver(guestId, never)).rejects.toThrow();
		}
		await a.cancelMigration(guestId);
		await countsOn(a, guestId);
		await write("a", 20);
		await expectTracked(a);
		await expectKept(a);
	});
});

describe("a volume", () => {
	test("that grows under its guest, and once more when that has ended, is tracked on", async () => {
		const grow = (sizeBytes: number) => a.growVolume({ guestId: request.spec.id, ...data, sizeBytes });
		await grow(24 * MiB);
		await write("a", 300);
		await expectTracked(a);
		await expectKept(a);
		await grow(32 * MiB);
		await expectTracked(a);
		await a.start(request);
		await write("a", 400);
		await expectTracked(a);
	});

	test("that moves under its guest, and once more when that has ended, is tracked on", async () => {
		const move = (from: string, to: string) =>
			a.moveVolume({ guestId: request.spec.id, volumeId: data.volumeId, from, to, onProgress: () => undefined }, never);
		const at = (path: string) => request.volumes.map((volume) => (volume === data ? { ...volume, path } : volume));
		const [second, third] = [`${data.path}-second`, `${data.path}-third`];
		await move(data.path, second);
		await expectTracked(a, at(second));
		await write("a", 20);
		await expectTracked(a, at(second));
		await expectKept(a, at(second));
		await move(second, third);
		await expectTracked(a, at(third));
		await a.start({ ...request, volumes: at(third) });
		await write("a", 21);
		await expectTracked(a, at(third));
		await hop(a, b, { ...request, volumes: at(third) }, false);
		await expectTracked(b, at(third));
	});

	test("that moved under its guest goes along when the guest moves with copies, and is tracked on", async () => {
		const to = `${data.path}-second`;
		const { volumeId, path: from } = data;
		await a.moveVolume({ guestId: request.spec.id, volumeId, from, to, onProgress: () => undefined }, never);
		const there = await site.withOwnVolumes(b, request);
		await hop(a, b, there, true);
		await write("b", 20);
		await expectTracked(b, there.volumes);
	});

	test("whose process was killed is not said to be tracked, and can grow and move", async () => {
		const guestId = request.spec.id;
		await site.kill(a, guestId);
		await until(async () => (await a.inspect(guestId)).state === "absent", "the guest's end is seen");
		const trusted = async (volumes: VolumeLocation[]) =>
			(await a.changeTracking(guestId, volumes)).flatMap(({ bitmaps }) => bitmaps).filter((one) => !one.inconsistent);
		expect(await trusted(request.volumes)).toEqual([]);
		await a.growVolume({ guestId, ...data, sizeBytes: 24 * MiB });
		const to = `${data.path}-second`;
		await a.moveVolume({ guestId, volumeId: data.volumeId, from: data.path, to, onProgress: () => undefined }, never);
		const volumes = request.volumes.map((volume) => (volume === data ? { ...volume, path: to } : volume));
		expect(await trusted(volumes)).toEqual([]);
		await a.start({ ...request, volumes });
		await countsOn(a, guestId);
	});
});
