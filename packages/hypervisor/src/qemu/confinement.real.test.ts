import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Hypervisor } from "../hypervisor.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "../testing/qemu-bench.ts";
import { collectEvents, countsOn, readCounts, Site, until } from "../testing/site.ts";
import { uidOf } from "./confinement.ts";
import { guestPaths } from "./paths.ts";
import { tapName } from "./tap.ts";
import { runTool } from "./tool.ts";

const isRoot = process.getuid?.() === 0;
let qemu: QemuUnderTest;
let site: Site;
let a: Hypervisor;

beforeEach(async () => {
	qemu = await makeQemuUnderTest();
	site = new Site(qemu);
	a = site.open("a");
	await a.adopt();
});
afterEach(() => site.close());

test("QEMU has no capability, no way to new rights, a system call filter, and as root a user of its own", async () => {
	const { spec } = await startGuest();
	const { pid } = await a.inspect(spec.id);
	const status = new Map(
		(await readFile(`/proc/${pid}/status`, "utf8"))
			.split("\n")
			.map((line) => [line.split(":")[0], line.split(":")[1]?.trim()]),
	);
	const uid = isRoot ? uidOf(spec.id) : process.getuid?.();
	expect(status.get("Uid")?.split("\t")).toEqual(Array.from({ length: 4 }, () => String(uid)));
	expect(status.get("Seccomp")).toBe("2");
	expect(status.get("NoNewPrivs")).toBe("1");
	expect(status.get("CapEff")).toMatch(/^0+$/);
});

test("nobody but its user may speak to its monitor, and its record is not its own to write", async () => {
	const { spec, volumes } = await startGuest();
	const paths = guestPaths(qemu.runFolder("a"), spec.id);
	const uid = isRoot ? uidOf(spec.id) : process.getuid?.();
	expect(await modeAndOwner(paths.socketFolder)).toEqual([0o700, uid]);
	for (const path of [paths.qmp, paths.rescue, paths.serial, paths.serialLog]) {
		expect(await modeAndOwner(path)).toEqual([0o600, uid]);
	}
	expect(await modeAndOwner(volumes[0]?.path ?? "")).toEqual([0o600, uid]);
	for (const path of [paths.folder, paths.record]) expect((await stat(path)).uid).toBe(process.getuid?.());
});

test("a volume that another process has open is a conflict, and who has it runs on", async () => {
	const request = await startGuest();
	const b = site.open("b");
	await b.adopt();
	await expect(b.start(request)).rejects.toMatchObject({
		code: "conflict",
		message: expect.stringContaining("in use"),
	});
	expect((await b.inspect(request.spec.id)).state).toBe("absent");
	await countsOn(a, request.spec.id);
});

test("guests live on when their agent is killed, and the next one finds them", async () => {
	const request = await site.newGuest(a);
	const requestPath = join(qemu.folder, "request.json");
	await writeFile(requestPath, JSON.stringify(request));
	const script = join(import.meta.dirname, "../testing/start-and-die.ts");
	const args = [script, qemu.programs.system, qemu.programs.img, qemu.runFolder("a"), requestPath];
	const agent = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
	await once(agent.stdout, "data");
	await countsOn(a, request.spec.id);
	agent.kill("SIGKILL");
	await once(agent, "exit");
	expect(await a.adopt()).toMatchObject([{ guestId: request.spec.id, state: "running" }]);
	await countsOn(a, request.spec.id);
	const counts = await readCounts(a, request.spec.id);
	expect(counts).toEqual(counts.map((_, index) => index + 1));
	const events = collectEvents(a);
	await site.kill(a, request.spec.id);
	await until(async () => events.some((event) => event.type === "crashed"), "the crash of the adopted guest is told");
});

test("a guest that powered itself off while no agent looked is found as that, not as crashed", async () => {
	const { spec } = await startGuest();
	await a.close();
	const serial = connect(guestPaths(qemu.runFolder("a"), spec.id).serial);
	serial.on("error", () => undefined).write("q");
	a = site.open("a");
	// The driver may come while the guest is still on its way down; it ends as powered off in both cases.
	const events = collectEvents(a);
	await a.adopt();
	await until(async () => (await a.inspect(spec.id)).state === "absent", "the guest is off");
	serial.destroy();
	expect((await a.inspect(spec.id)).ending).toBe("the guest powered off");
	expect(events.map((event) => event.type)).not.toContain("crashed");
});

test("a guest that was killed while no agent looked is found as ended", async () => {
	const { spec } = await startGuest();
	const { pid } = await a.inspect(spec.id);
	await a.close();
	process.kill(pid ?? 0, "SIGKILL");
	await until(
		async () => (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z")).includes(") Z"),
		"it is gone",
	);
	a = site.open("a");
	expect(await a.adopt()).toMatchObject([
		{ guestId: spec.id, state: "absent", ending: expect.stringContaining("while no agent looked") },
	]);
	expect(await a.adopt()).toEqual([]);
});

test("a QEMU that hangs keeps no other guest from being adopted, and is adopted when it answers again", async () => {
	const [hung, well] = [await startGuest(), await startGuest()];
	const { pid } = await a.inspect(hung.spec.id);
	await a.close();
	process.kill(pid ?? 0, "SIGSTOP");
	a = site.open("a");
	const reports = await a.adopt();
	expect(reports.map((report) => [report.guestId, report.state]).sort()).toEqual(
		[hung, well].map(({ spec }) => [spec.id, "running"]).sort(),
	);
	await countsOn(a, well.spec.id);
	expect(await a.inspect(hung.spec.id)).toMatchObject({ state: "running", pid });
	await expect(a.pause(hung.spec.id)).rejects.toMatchObject({ code: "unavailable" });
	await expect(a.start(hung)).rejects.toMatchObject({ code: "conflict" });
	const events = collectEvents(a);
	process.kill(pid ?? 0, "SIGCONT");
	await until(async () => events.some((event) => event.type === "stateChanged"), "the guest is heard again");
	await a.pause(hung.spec.id);
	process.kill(pid ?? 0, "SIGSTOP");
	await a.powerOff(hung.spec.id);
	expect((await a.inspect(hung.spec.id)).state).toBe("absent");
});

if (isRoot) {
	test("a NIC on a bridge is a tap of the guest's user, counted, and gone with the guest", async () => {
		const bridge = `hv${process.pid}`;
		await ip("link", "add", bridge, "type", "bridge");
		try {
			const request = { ...(await site.newGuest(a)), nics: [{ kind: "bridge" as const, bridge }] };
			await a.start(request);
			const tap = tapName(qemu.runFolder("a"), request.spec.id, 0);
			expect(await ip("-d", "link", "show", "dev", tap)).toMatch(new RegExp(`master ${bridge}`));
			expect(await ip("tuntap", "show", "dev", tap)).toContain(`user ${uidOf(request.spec.id)}`);
			expect(await a.stats(request.spec.id)).toMatchObject({ networkTransmitBytes: 0 });
			await site.kill(a, request.spec.id);
			await until(async () => (await a.inspect(request.spec.id)).state === "absent", "the guest is gone");
			expect(await ip("link", "show")).not.toContain(tap);
		} finally {
			await ip("link", "delete", bridge);
		}
	});

	test("a NIC on a bridge that is not there is refused by name, and nothing is left", async () => {
		const request = { ...(await site.newGuest(a)), nics: [{ kind: "bridge" as const, bridge: "nobridge" }] };
		await expect(a.start(request)).rejects.toMatchObject({
			code: "not_found",
			message: expect.stringContaining("nobridge"),
		});
		expect((await a.inspect(request.spec.id)).state).toBe("absent");
	});
}

async function startGuest() {
	const request = await site.newGuest(a);
	await a.start(request);
	await countsOn(a, request.spec.id);
	return request;
}

async function modeAndOwner(path: string): Promise<[number, number]> {
	const { mode, uid } = await stat(path);
	return [mode & 0o777, uid];
}

function ip(...args: string[]): Promise<string> {
	return runTool({ program: "ip", arguments: args, timeoutMs: 30_000, purpose: "ask the network" });
}
