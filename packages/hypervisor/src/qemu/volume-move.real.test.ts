import { copyFile } from "node:fs/promises";
import type { DiskProgress } from "@sterna/shared/copying";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Hypervisor, StartRequest, VolumeLocation } from "../hypervisor.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "../testing/qemu-bench.ts";
import { askRescue } from "../testing/rescue.ts";
import { collectEvents, countsOn, readCounts, Site, until } from "../testing/site.ts";
import { guestPaths } from "./paths.ts";
import { type GuestRecord, readRecord, writeRecord } from "./record.ts";

/*
 * What a driver's death leaves in the moments in which a volume changes files. The move is made whole, and then the
 * record, the old file and the guest's CPUs are put back to where they were at that moment.
 */

const never = new AbortController().signal;

let underTest: QemuUnderTest;
let site: Site;
let driver: Hypervisor;
let request: StartRequest;
let volume: VolumeLocation;
let to: string;

beforeEach(async () => {
	underTest = await makeQemuUnderTest();
	site = new Site(underTest);
	driver = site.open("a");
	await driver.adopt();
	request = await site.newGuest(driver);
	const [only] = request.volumes;
	if (!only) throw new Error("the guest has no volume");
	volume = only;
	to = `${volume.path}-moved`;
	await driver.start(request);
	await countsOn(driver, request.spec.id);
});
afterEach(() => site.close());

async function movedAndInterrupted(change: (record: GuestRecord) => Partial<GuestRecord>): Promise<void> {
	const { id } = request.spec;
	const runFolder = underTest.runFolder("a");
	await copyFile(volume.path, `${volume.path}-before`);
	const move = { guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress: () => undefined };
	await driver.moveVolume(move, never);
	await driver.close();
	await askRescue(runFolder, id, "stop");
	await copyFile(`${volume.path}-before`, volume.path);
	const { record: path } = guestPaths(runFolder, id);
	const record = await readRecord(path);
	if (!record) throw new Error("the guest has no record");
	const moving = { volumeId: volume.volumeId, from: volume.path, to, moves: 1, heldFrom: "running" as const };
	await writeRecord(path, { ...record, moving, ...change(record) });
}

async function expectOnlyNew(): Promise<void> {
	expect(await driver.inspectVolume({ ...volume, path: to })).toMatchObject({ exists: true });
	expect(await driver.inspectVolume(volume)).toMatchObject({ exists: false });
}

const asBefore = ({ volumes }: GuestRecord) => ({
	volumes: volumes.map((one) => ({ ...one, path: volume.path, moves: 0 })),
});

test.each([
	["before the record says where the volume is", asBefore],
	["before the CPUs go on", () => ({})],
])(
	"a driver that dies %s: the next one keeps the file that the guest uses, and lets it go on",
	async (_when, change) => {
		await movedAndInterrupted(change);
		driver = site.open("a");
		expect(await driver.adopt()).toMatchObject([{ state: "running", seats: [{ port: null, moves: 1 }] }]);
		await expectOnlyNew();
		await countsOn(driver, request.spec.id);
		const counts = await readCounts(driver, request.spec.id);
		expect(counts).toEqual(counts.map((_, index) => index + 1));
	},
);

test("a power cut when the record says where the volume is leaves that file", async () => {
	await movedAndInterrupted(() => ({}));
	driver = site.open("a");
	const { pid } = (await driver.adopt())[0] ?? {};
	await driver.close();
	const { record: path } = guestPaths(underTest.runFolder("a"), request.spec.id);
	const record = await readRecord(path);
	await copyFile(`${volume.path}-before`, volume.path);
	if (!record || !pid) throw new Error("the guest has no process");
	const moving = { volumeId: volume.volumeId, from: volume.path, to, moves: 1, heldFrom: "running" as const };
	await writeRecord(path, { ...record, moving });
	process.kill(pid, "SIGKILL");
	driver = site.open("a");
	const ended = async () => {
		await driver.adopt();
		return (await driver.inspect(request.spec.id)).state === "absent";
	};
	await until(ended, "its end is seen");
	await expectOnlyNew();
});

test("the guest's pause while its files change is told to nobody", async () => {
	const events = collectEvents(driver);
	const { id } = request.spec;
	await driver.moveVolume(
		{ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress: () => undefined },
		never,
	);
	await countsOn(driver, id);
	expect(events).toEqual([]);
});

test("a move that is cancelled when everything is copied, and the guest still uses the old file, is undone", async () => {
	const cancel = new AbortController();
	const onProgress = ({ transferredBytes, totalBytes }: DiskProgress) => {
		if (transferredBytes === totalBytes) cancel.abort();
	};
	const { id } = request.spec;
	const move = { guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress };
	await expect(driver.moveVolume(move, cancel.signal)).rejects.toMatchObject({ code: "cancelled" });
	expect(await driver.inspectVolume(volume)).toMatchObject({ exists: true });
	expect(await driver.inspectVolume({ ...volume, path: to })).toMatchObject({ exists: false });
	await countsOn(driver, id);
});
