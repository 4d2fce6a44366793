import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { EndSnapshot, Hypervisor, StartRequest } from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "../testing/qemu-bench.ts";
import { countsOn, readCounts, Site, until } from "../testing/site.ts";

let underTest: QemuUnderTest;
let site: Site;
let driver: Hypervisor;
let request: StartRequest;

beforeAll(async () => {
	underTest = await makeQemuUnderTest();
	site = new Site(underTest);
	driver = site.open("a");
	request = await site.newGuest(driver);
	await driver.start(request);
	await countsOn(driver, request.spec.id);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => site.close());

const wanted = (mark: string, since: string | null, scratchFolder = underTest.folder) => ({
	guestId: request.spec.id,
	mark,
	volumes: request.volumes.map((volume) => ({ ...volume, since, scratchPath: join(scratchFolder, "scratch") })),
});
const end = (outcome: EndSnapshot["outcome"], mark: string, since: string | null = null, folder?: string) =>
	driver.endSnapshot({ ...wanted(mark, since, folder), outcome });
const bitmaps = async () => {
	const [tracking] = await driver.changeTracking(request.spec.id, request.volumes);
	return tracking?.bitmaps.map(({ name, recording }) => [name, recording]);
};
const unharmed = async () => {
	await countsOn(driver, request.spec.id);
	const counts = await readCounts(driver, request.spec.id);
	expect(counts).toEqual(counts.map((_, index) => index + 1));
};

/** Plays an agent that is killed after so many commands that change something: all that it says from then on is lost. */
function dieAfter(commands: number): { died: boolean } {
	const fate = { died: false };
	const { execute } = QmpClient.prototype;
	let left = commands;
	vi.spyOn(QmpClient.prototype, "execute").mockImplementation(function (this: QmpClient, name, ...rest) {
		if (fate.died || (!name.startsWith("query-") && left-- === 0)) {
			fate.died = true;
			return Promise.reject(new SternaError("unavailable", "the agent was killed"));
		}
		return Reflect.apply(execute, this, [name, ...rest]);
	});
	return fate;
}

async function newLife(): Promise<void> {
	vi.restoreAllMocks();
	await driver.close();
	driver = site.open("a");
	await driver.adopt();
}

test("killed after any command of taking a snapshot, a new life brings everything back to where it was", async () => {
	await driver.takeSnapshot({ ...wanted("st-a", null), freeze: false });
	await end("committed", "st-a");
	let commands = 0;
	for (let taken = false; !taken; commands++) {
		const fate = dieAfter(commands);
		taken = await driver.takeSnapshot({ ...wanted("st-b", "st-a"), freeze: false }).then(
			() => true,
			() => false,
		);
		expect(fate.died).toBe(!taken);
		await newLife();
		await end("failed", "st-b", "st-a");
		expect(await bitmaps()).toEqual([["st-a", true]]);
		expect(await driver.isSnapshotWhole(request.spec.id)).toBe(false);
	}
	expect(commands).toBeGreaterThan(8);
	await unharmed();
	await end("committed", "st-x", "st-a");
});

test.each(["committed", "failed"] as const)(
	"killed after any command of ending a snapshot that was %s, the next end completes it",
	async (outcome) => {
		let commands = 0;
		for (let ended = false; !ended; commands++) {
			await driver.takeSnapshot({ ...wanted("st-a", null), freeze: false });
			await end("committed", "st-a");
			await driver.takeSnapshot({ ...wanted("st-b", "st-a"), freeze: false });
			const fate = dieAfter(commands);
			ended = await end(outcome, "st-b", "st-a").then(
				() => true,
				() => false,
			);
			expect(fate.died && ended).toBe(false);
			await newLife();
			await end(outcome, "st-b", "st-a");
			expect(await bitmaps()).toEqual(outcome === "committed" ? [["st-b", true]] : [["st-a", true]]);
			await end("committed", "st-x", outcome === "committed" ? "st-b" : "st-a");
		}
		expect(commands).toBeGreaterThan(5);
		await unharmed();
	},
);

test("a scratch that is full breaks the snapshot and nothing else: the guest writes on, and the chain is kept", async () => {
	if (process.getuid?.() !== 0) return;
	await driver.takeSnapshot({ ...wanted("st-a", null), freeze: false });
	await end("committed", "st-a");
	const small = join(underTest.folder, "small");
	await mkdir(small, { mode: 0o711 });
	// As much as an empty scratch takes: the first old block finds no room.
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=208k,mode=711", "tmpfs", small]);
	try {
		await driver.takeSnapshot({ ...wanted("st-b", "st-a", small), freeze: false });
		await until(async () => !(await driver.isSnapshotWhole(request.spec.id)), "the snapshot breaks");
		expect((await driver.inspect(request.spec.id)).state).toBe("running");
		await unharmed();
		await end("failed", "st-b", "st-a", small);
	} finally {
		execFileSync("umount", ["-l", small]);
	}
	expect(await bitmaps()).toEqual([["st-a", true]]);
	await unharmed();
});

test("a guest that is being backed up is not moved", async () => {
	await driver.takeSnapshot({ ...wanted("st-c", null), freeze: false });
	const { signal } = new AbortController();
	const socket = join(underTest.folder, "nowhere");
	const disks = request.volumes.map(({ volumeId }) => ({ volumeId, socket }));
	const move = { guestId: request.spec.id, onProgress: () => undefined };
	await expect(driver.copyDisks({ ...move, disks }, signal)).rejects.toMatchObject({ code: "wrong_state" });
	await expect(driver.copyMemory({ ...move, socket, downtimeLimitMs: 30 }, signal)).rejects.toMatchObject({
		code: "wrong_state",
	});
	expect(await driver.isSnapshotWhole(request.spec.id)).toBe(true);
	await end("failed", "st-c");
	await unharmed();
});
