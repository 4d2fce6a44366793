import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collectEvents, until } from "../testing/site.ts";
import { QemuHypervisor } from "./driver.ts";
import { type GuestPaths, guestPaths } from "./paths.ts";
import { type GuestRecord, writeRecord } from "./record.ts";

const id = newId(GuestId);
const record: GuestRecord = {
	spec: GuestSpec.parse({
		id,
		name: "half-there",
		vcpus: 1,
		memoryBytes: 64 * MiB,
		boot: { from: "kernel", kernel: "vmlinuz", commandLine: "" },
		volumes: [],
		nics: [],
	}),
	machine: "pc-q35-10.0",
	accelerator: "tcg",
	uid: null,
	volumes: [],
	taps: [],
	moving: null,
	sources: [],
	incoming: false,
	ending: null,
};

/** A monitor like QEMU's: it serves one client at a time, and is silent when its main loop hangs. */
class Monitor {
	hangs = false;
	clients = 0;
	unanswered = 0;
	readonly #server: Server;
	readonly #waiting: Socket[] = [];
	#served: Socket | null = null;

	constructor(path: string) {
		this.#server = createServer((socket) => {
			this.#waiting.push(socket.on("error", () => undefined));
			this.#serveNext();
		}).listen(path);
	}

	/** Ends the connection that is served. */
	cut(): void {
		this.#served?.destroy();
	}

	close(): void {
		this.#server.close();
		for (const socket of this.#waiting.splice(0)) socket.destroy();
		this.cut();
	}

	#serveNext(): void {
		if (this.#served !== null) return;
		const socket = this.#waiting.shift();
		if (!socket) return;
		this.#served = socket;
		this.clients += 1;
		socket.once("close", () => {
			this.#served = null;
			this.#serveNext();
		});
		const send = (message: object) => socket.write(`${JSON.stringify(message)}\n`);
		send({ QMP: { version: { qemu: { major: 10, minor: 0, micro: 0 } }, capabilities: ["oob"] } });
		socket.on("data", (chunk: Buffer) => {
			for (const line of chunk.toString().split("\n").filter(Boolean)) {
				const { id, execute } = JSON.parse(line);
				if (execute === "qmp_capabilities") send({ return: {}, id });
				else if (this.hangs) this.unanswered += 1;
				else send({ return: { status: "running", running: true }, id });
			}
		});
	}
}

let runFolder: string;
let paths: GuestPaths;
let qemu: ChildProcess;
let driver: QemuHypervisor;
let monitor: Monitor | null;

beforeEach(async () => {
	runFolder = await mkdtemp(join(tmpdir(), "hv-"));
	paths = guestPaths(runFolder, id);
	await mkdir(paths.socketFolder, { recursive: true });
	await writeRecord(paths.record, record);
	const args = ["-e", "setInterval(() => undefined, 1e6)", "qemu-system", `path=${paths.qmp},`];
	qemu = spawn(process.execPath, args, { stdio: "ignore" });
	await once(qemu, "spawn");
	driver = new QemuHypervisor({ programs: { system: "/nowhere/qemu", img: "/nowhere/qemu-img" }, runFolder });
	monitor = null;
});
afterEach(async () => {
	await driver.close();
	monitor?.close();
	qemu.kill("SIGKILL");
	await rm(runFolder, { recursive: true, force: true });
});

/** As the kernel does it: the sockets of a process end with it. */
function end(): void {
	qemu.kill("SIGKILL");
	monitor?.close();
}

test("a QEMU that falls silent while it is adopted is reached when it speaks again, and its end is told once", async () => {
	monitor = new Monitor(paths.qmp);
	monitor.hangs = true;
	const events = collectEvents(driver);
	expect(await driver.adopt()).toMatchObject([{ guestId: id, state: "running" }]);
	monitor.hangs = false;
	await until(async () => events.some((event) => event.type === "stateChanged"), "the guest is heard");
	expect(await driver.inspect(id)).toMatchObject({ state: "running", pid: qemu.pid });
	end();
	await until(async () => (await driver.inspect(id)).state === "absent", "its end is seen");
	expect(events.filter((event) => event.type === "crashed")).toHaveLength(1);
});

test("a monitor that is lost and silent when it is reached again is watched once, and the guest's end is told once", async () => {
	const served = new Monitor(paths.qmp);
	monitor = served;
	const events = collectEvents(driver);
	await driver.adopt();
	served.hangs = true;
	served.cut();
	await until(async () => served.unanswered > 0, "it is reached again and asked what was missed");
	await expect(driver.inspect(id)).rejects.toMatchObject({ code: "timeout" });
	served.hangs = false;
	await until(async () => events.some((event) => event.type === "stateChanged"), "what was missed is caught up with");
	end();
	await until(async () => (await driver.inspect(id)).state === "absent", "its end is seen");
	expect(served.clients).toBe(2);
	expect(events.filter((event) => event.type === "crashed")).toHaveLength(1);
});

test("a process whose record cannot be read counts as running, is not started beside, and can be ended", async () => {
	await writeFile(paths.record, "{");
	expect(await driver.adopt()).toMatchObject([{ guestId: id, state: "running", pid: qemu.pid }]);
	expect(await driver.inspect(id)).toMatchObject({ state: "running" });
	await expect(driver.pause(id)).rejects.toMatchObject({ code: "unavailable" });
	const gone = once(qemu, "exit");
	await driver.powerOff(id);
	await gone;
	expect(await driver.inspect(id)).toMatchObject({ state: "absent", pid: null });
});

test("a silent process that its record calls ended is told as absent when it is", async () => {
	await writeRecord(paths.record, { ...record, ending: "it did not start" });
	expect(await driver.adopt()).toMatchObject([{ state: "running" }]);
	end();
	await until(async () => (await driver.inspect(id)).state === "absent", "its end is seen");
});

test("a silent target that was never released is not called running", async () => {
	await writeRecord(paths.record, { ...record, incoming: true });
	expect(await driver.adopt()).toMatchObject([{ state: "loading", pid: qemu.pid }]);
});
