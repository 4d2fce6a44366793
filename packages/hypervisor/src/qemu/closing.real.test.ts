import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { EndSnapshot, Hypervisor, StartRequest, TakeSnapshot } from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "../testing/qemu-bench.ts";
import { countsOn, Site, until } from "../testing/site.ts";
import { findByArgument } from "./process.ts";

/*
 * Who has a volume open for writing and is killed leaves bitmaps that nobody trusts: the next backup reads all. So
 * everybody closes in order, however long the disk takes, and whatever happened before.
 */

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
	await driver.takeSnapshot(wanted("st-a", null));
	await end("committed", "st-a");
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => site.close());

const wanted = (mark: string, since: string | null): TakeSnapshot => ({
	guestId: request.spec.id,
	mark,
	volumes: request.volumes.map((volume) => ({ ...volume, since, scratchPath: join(underTest.folder, "scratch") })),
	freeze: false,
});
const end = (outcome: EndSnapshot["outcome"], mark: string, since: string | null = null) =>
	driver.endSnapshot({ ...wanted(mark, since), outcome });
const expectTracked = async (name: string) => {
	const [tracking] = await driver.changeTracking(request.spec.id, request.volumes);
	expect(tracking?.bitmaps).toMatchObject([{ name, recording: true, inconsistent: false }]);
};

/** Plays a disk that takes its time: after the answer to `command` nothing happens in the program for so long. */
function stallAfter(command: string, stallMs: number): void {
	const { execute } = QmpClient.prototype;
	vi.spyOn(QmpClient.prototype, "execute").mockImplementation(async function (this: QmpClient, name, ...rest) {
		const answer = await Reflect.apply(execute, this, [name, ...rest]);
		if (name !== command) return answer;
		vi.restoreAllMocks();
		const found =
			(await findByArgument("qemu-storage-daemon", underTest.folder)) ??
			(await findByArgument("qemu-system", underTest.folder));
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
	const { pid } = await driver.inspect(request.spec.id);
	if (pid === null) throw new Error("the guest has no process");
	driver.onEvent(({ type }) => type === "poweredOff" && stall(pid, 4500));
	await driver.shutDown(request.spec.id);
	// While it flushes nobody answers.
	const isOff = () =>
		driver.inspect(request.spec.id).then(
			({ state }) => state === "absent",
			() => false,
		);
	await until(isOff, "the guest is off");
	await expectTracked("st-a");
	await driver.start(request);
	await countsOn(driver, request.spec.id);
});

test("a guest that is powered off has what was tracked of its volumes in their files, also on a slow disk", async () => {
	stallAfter("query-status", 4300);
	await driver.powerOff(request.spec.id);
	await expectTracked("st-a");
});

test("a stopped guest's snapshot that ends on a slow disk leaves what is tracked", async () => {
	await driver.takeSnapshot(wanted("st-b", "st-a"));
	stallAfter("transaction", 2300);
	await end("committed", "st-b", "st-a");
	await expectTracked("st-b");
});

test("a stopped guest's snapshot that is refused leaves what is tracked", async () => {
	await expect(driver.takeSnapshot(wanted("st-c", "st-a"))).rejects.toMatchObject({ code: "wrong_state" });
	await expectTracked("st-b");
});

test("an agent that is killed with a stopped guest's volumes open leaves them to its next life, and what is tracked", async () => {
	const requestPath = join(underTest.folder, "request.json");
	await writeFile(requestPath, JSON.stringify(wanted("st-c", "st-b")));
	const script = join(import.meta.dirname, "../testing/settle-and-die.ts");
	const { system, img } = underTest.programs;
	const agent = spawn(process.execPath, [script, system, img, underTest.runFolder("a"), requestPath]);
	expect(await once(agent, "exit")).toEqual([null, "SIGKILL"]);
	// The next life tries until it works, as with all that a run owes to the guest.
	const settled = () =>
		end("failed", "st-c", "st-b").then(
			() => true,
			() => false,
		);
	await until(settled, "the volumes are there again");
	await expectTracked("st-b");
});
