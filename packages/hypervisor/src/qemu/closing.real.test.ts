import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { QmpClient } from "../qmp/client.ts";
import { RunningGuest } from "../testing/running-guest.ts";
import { until } from "../testing/site.ts";
import { findByArgument } from "./process.ts";

/*
 * Who has a volume open for writing and is killed leaves bitmaps that nobody trusts: the next backup reads all. So
 * everybody closes in order, however long the disk takes, and whatever happened before.
 */

let guest: RunningGuest;

beforeAll(async () => {
	guest = await RunningGuest.open();
	await guest.take("st-a", null);
	await guest.end("committed", "st-a");
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => guest.close());

const expectTracked = async (name: string) =>
	expect(await guest.bitmaps()).toMatchObject([{ name, recording: true, inconsistent: false }]);

/** Plays a disk that takes its time: after the answer to `command` nothing happens in the program for so long. */
function stallAfter(command: string, stallMs: number): void {
	const { execute } = QmpClient.prototype;
	vi.spyOn(QmpClient.prototype, "execute").mockImplementation(async function (this: QmpClient, name, ...rest) {
		const answer = await Reflect.apply(execute, this, [name, ...rest]);
		if (name !== command) return answer;
		vi.restoreAllMocks();
		const found =
			(await findByArgument("qemu-storage-daemon", guest.underTest.folder)) ??
			(await findByArgument("qemu-system", guest.underTest.folder));
		if (!found) throw new Error("nobody has the volumes open");
		stall(found.pid, stallMs);
		return answer;
	});
}

function stall(pid: number, stallMs: number): void {
	process.kill(pid, "SIGSTOP");
	setTimeout(() => existsSync(`/proc/${pid}`) && process.kill(pid, "SIGCONT"), stallMs);
}

test("a guest that turns itself off has what was tracked of its volumes in their files, also on a slow disk", async () => {
	const { pid } = await guest.driver.inspect(guest.request.spec.id);
	if (pid === null) throw new Error("the guest has no process");
	guest.driver.onEvent(({ type }) => type === "poweredOff" && stall(pid, 4500));
	await guest.driver.shutDown(guest.request.spec.id);
	// Off, its process is still there until it has flushed, and answers nobody meanwhile.
	const isOff = () =>
		guest.driver.inspect(guest.request.spec.id).then(
			({ state, pid }) => state === "absent" && pid === null,
			() => false,
		);
	await until(isOff, "the guest is off");
	await expectTracked("st-a");
	await guest.driver.start(guest.request);
	await guest.countsOn();
});

test("a guest that is powered off has what was tracked of its volumes in their files, also on a slow disk", async () => {
	stallAfter("query-status", 4300);
	await guest.driver.powerOff(guest.request.spec.id);
	await expectTracked("st-a");
});

test("a stopped guest's snapshot that ends on a slow disk leaves what is tracked", async () => {
	await guest.take("st-b", "st-a");
	stallAfter("transaction", 2300);
	await guest.end("committed", "st-b", "st-a");
	await expectTracked("st-b");
});

test("a stopped guest's snapshot that is refused leaves what is tracked", async () => {
	await expect(guest.take("st-c", "st-a")).rejects.toMatchObject({ code: "wrong_state" });
	await expectTracked("st-b");
});

test("an agent that is killed with a stopped guest's volumes open leaves them to its next life, and what is tracked", async () => {
	const requestPath = join(guest.underTest.folder, "request.json");
	await writeFile(requestPath, JSON.stringify({ ...guest.wanted("st-c", "st-b"), freeze: false }));
	const script = join(import.meta.dirname, "../testing/settle-and-die.ts");
	const { system, img } = guest.underTest.programs;
	const agent = spawn(process.execPath, [script, system, img, guest.underTest.runFolder("a"), requestPath]);
	expect(await once(agent, "exit")).toEqual([null, "SIGKILL"]);
	// The next life tries until it works, as with all that a run owes to the guest.
	const settled = () =>
		guest.end("failed", "st-c", "st-b").then(
			() => true,
			() => false,
		);
	await until(settled, "the volumes are there again");
	await expectTracked("st-b");
});
