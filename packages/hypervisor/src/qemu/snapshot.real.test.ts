import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { QmpClient } from "../qmp/client.ts";
import { RunningGuest } from "../testing/running-guest.ts";
import { readCounts, until } from "../testing/site.ts";

let guest: RunningGuest;

beforeAll(async () => {
	guest = await RunningGuest.open();
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => guest.close());

const bitmaps = async () => (await guest.bitmaps()).map(({ name, recording }) => [name, recording]);
const unharmed = async () => {
	await guest.countsOn();
	const counts = await readCounts(guest.driver, guest.request.spec.id);
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
	await guest.newLife();
}

test("killed after any command of taking a snapshot, a new life brings everything back to where it was", async () => {
	await guest.take("st-a", null);
	await guest.end("committed", "st-a");
	let commands = 0;
	for (let taken = false; !taken; commands++) {
		const fate = dieAfter(commands);
		taken = await guest.take("st-b", "st-a").then(
			() => true,
			() => false,
		);
		expect(fate.died).toBe(!taken);
		await newLife();
		await guest.end("failed", "st-b", "st-a");
		expect(await bitmaps()).toEqual([["st-a", true]]);
		expect(await guest.driver.isSnapshotWhole(guest.request.spec.id)).toBe(false);
	}
	expect(commands).toBeGreaterThan(8);
	await unharmed();
	await guest.end("committed", "st-x", "st-a");
});

test.each(["committed", "failed"] as const)(
	"killed after any command of ending a snapshot that was %s, the next end completes it",
	async (outcome) => {
		let commands = 0;
		for (let ended = false; !ended; commands++) {
			await guest.take("st-a", null);
			await guest.end("committed", "st-a");
			await guest.take("st-b", "st-a");
			const fate = dieAfter(commands);
			ended = await guest.end(outcome, "st-b", "st-a").then(
				() => true,
				() => false,
			);
			expect(fate.died && ended).toBe(false);
			await newLife();
			await guest.end(outcome, "st-b", "st-a");
			expect(await bitmaps()).toEqual(outcome === "committed" ? [["st-b", true]] : [["st-a", true]]);
			await guest.end("committed", "st-x", outcome === "committed" ? "st-b" : "st-a");
		}
		expect(commands).toBeGreaterThan(5);
		await unharmed();
	},
);

test("a scratch that is full breaks the snapshot and nothing else: the guest writes on, and the chain is kept", async () => {
	if (process.getuid?.() !== 0) return;
	await guest.take("st-a", null);
	await guest.end("committed", "st-a");
	const small = join(guest.underTest.folder, "small");
	await mkdir(small, { mode: 0o711 });
	// As much as an empty scratch takes: the first old block finds no room.
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=208k,mode=711", "tmpfs", small]);
	try {
		await guest.take("st-b", "st-a", small);
		await until(async () => !(await guest.driver.isSnapshotWhole(guest.request.spec.id)), "the snapshot breaks");
		expect((await guest.driver.inspect(guest.request.spec.id)).state).toBe("running");
		await unharmed();
		await guest.end("failed", "st-b", "st-a", small);
	} finally {
		execFileSync("umount", ["-l", small]);
	}
	expect(await bitmaps()).toEqual([["st-a", true]]);
	await unharmed();
});

test("a guest that is being backed up is not moved", async () => {
	await guest.take("st-c", null);
	const { signal } = new AbortController();
	const socket = join(guest.underTest.folder, "nowhere");
	const disks = guest.request.volumes.map(({ volumeId }) => ({ volumeId, socket }));
	const move = { guestId: guest.request.spec.id, onProgress: () => undefined };
	await expect(guest.driver.copyDisks({ ...move, disks }, signal)).rejects.toMatchObject({ code: "wrong_state" });
	await expect(guest.driver.copyMemory({ ...move, socket, downtimeLimitMs: 30 }, signal)).rejects.toMatchObject({
		code: "wrong_state",
	});
	expect(await guest.driver.isSnapshotWhole(guest.request.spec.id)).toBe(true);
	await guest.end("failed", "st-c");
	await unharmed();
});
