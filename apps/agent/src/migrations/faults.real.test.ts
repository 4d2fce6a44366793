import { chmodSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { endedMigrationStates, type MigrationReport } from "@sterna/shared/migration";
import type { Output } from "@sterna/shared/protocol/commands";
import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from "vitest";
import { buildGuestImage } from "../../../../demo/guest/build.ts";
import { guestCommandLine } from "../../../../demo/guest/command-line.ts";
import { ensureQemu } from "../../../../scripts/system/qemu.ts";
import { type Cable, layCable } from "./testing/cut.ts";
import { faultCases } from "./testing/fault-cases.ts";
import { openTestConsole, type TestConsole } from "./testing/test-console.ts";
import { TestHost } from "./testing/test-host.ts";

/**
 * Two whole agents, each in a process of its own, and one real guest that is moved between them while agents are killed
 * and cables are cut. After each case the guest runs once, has never booted again, and both agents agree whose it is.
 */
interface Site {
	host: TestHost;
	/** Loopback address that the other side uses; a cable leads from there to the agent. */
	address: string;
	port: number;
	cable: Cable;
}

const spec = GuestSpec.parse({
	id: newId(GuestId),
	name: "mover",
	vcpus: 1,
	memoryBytes: 96 * MiB,
	boot: { from: "kernel", kernel: "vmlinuz", initrd: "initrd", commandLine: guestCommandLine({ name: "mover" }) },
	volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: 24 * MiB }],
	nics: [],
});
const settleTimeoutMs = 40_000;

let folder: string;
let console: TestConsole;
let sites: [Site, Site];
let epoch = 1;
/** Where the guest is. */
let here = 0;

const undo: (() => unknown)[] = [];

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "st-"));
	chmodSync(folder, 0o711);
	undo.push(() => rm(folder, { recursive: true, force: true }));
	const qemu = await ensureQemu(() => {});
	const image = await buildGuestImage(join(import.meta.dirname, "../../../../.sterna/guest"), () => {});
	console = await openTestConsole();
	undo.push(() => console.close());
	const programs = { system: qemu.system, img: qemu.img };
	sites = [await openSite(0, programs, image), await openSite(1, programs, image)];
	await Promise.all(sites.map(({ host }) => host.start()));
	await console.call(sites[0].host.hostId, "guest.create", { spec, epoch });
	await console.call(sites[0].host.hostId, "guest.start", { guestId: spec.id, epoch });
	await nextHeartbeat();
});

beforeEach(() => {
	onTestFailed(async () => {
		for (const { host } of sites) globalThis.console.log(host.name, await host.log());
	});
});

afterAll(async () => {
	for (const { host } of sites ?? []) {
		await host.kill();
		for (const pid of await host.processes()) process.kill(pid, "SIGKILL");
	}
	for (const step of undo.reverse()) await step();
});

async function openSite(
	index: number,
	qemu: { system: string; img: string },
	image: { kernel: string; initrd: string },
): Promise<Site> {
	const name = index === 0 ? "alder" : "birch";
	const dataDir = join(folder, name);
	await mkdir(join(dataDir, "images"), { recursive: true, mode: 0o711 });
	await copyFile(image.kernel, join(dataDir, "images", "vmlinuz"));
	await copyFile(image.initrd, join(dataDir, "images", "initrd"));
	for (const file of ["vmlinuz", "initrd"]) chmodSync(join(dataDir, "images", file), 0o644);
	const port = 23_100 + index * 100;
	const streamPorts = { from: port + 1, to: port + 4 };
	const [own, seen] = [`127.0.77.${10 + index}`, `127.0.77.${20 + index}`];
	const ports = [port, ...Array.from({ length: 4 }, (_, offset) => streamPorts.from + offset)];
	const cable = await layCable({ from: seen, to: own, ports });
	undo.push(() => cable.close());
	const host = await TestHost.create({
		dataDir,
		name,
		console,
		config: {
			name,
			peerAddress: seen,
			listenAddress: own,
			peerPort: port,
			streamPorts,
			qemuSystem: qemu.system,
			qemuImg: qemu.img,
		},
	});
	return { host, address: seen, port, cable };
}

function pair(): { source: Site; target: Site } {
	const [source, target] = here === 0 ? sites : [sites[1], sites[0]];
	return { source, target };
}

/** Begins to move the guest to the other host. */
async function startMove(): Promise<{
	migrationId: MigrationReport["migrationId"];
	ended: () => Promise<MigrationReport>;
}> {
	const { source, target } = pair();
	epoch += 1;
	const { migrationId, permit } = console.permit({
		guestId: spec.id,
		epoch,
		sourceHostId: source.host.hostId,
		targetHostId: target.host.hostId,
	});
	const { hostId, name } = target.host;
	const address = { hostId, name, address: target.address, port: target.port };
	await console.call(source.host.hostId, "migration.start", {
		permit,
		target: address,
		options: {},
	});
	return {
		migrationId,
		ended: () =>
			until("the migration to end", async () => {
				const report = (await snapshot(source)).migrations.find((one) => one.migrationId === migrationId);
				return report && endedMigrationStates.includes(report.state) ? report : null;
			}),
	};
}

function snapshot(site: Site): Promise<Output<"host.snapshot">> {
	return console.call(site.host.hostId, "host.snapshot", {});
}

/** Asks again until the answer is there. */
async function until<Answer>(what: string, ask: () => Promise<Answer | null | undefined>): Promise<Answer> {
	const deadline = Date.now() + settleTimeoutMs;
	for (;;) {
		const answer = await ask().catch(() => null);
		if (answer) return answer;
		if (Date.now() > deadline) throw new Error(`waited ${settleTimeoutMs} ms for ${what}`);
		await delay(50);
	}
}

interface Heartbeat {
	seq: number;
	boot: string;
	errors: number;
}

/** What the guest has said on this host, oldest first. */
async function heartbeats({ host }: Site): Promise<Heartbeat[]> {
	const log = await readFile(join(host.dataDir, "run", spec.id, "serial.log"), "utf8").catch(() => "");
	return [...log.matchAll(/heartbeat seq=(\d+) boot=(\w+) .*errors=(\d+)/g)].map(([, seq, boot, errors]) => ({
		seq: Number(seq),
		boot: boot ?? "",
		errors: Number(errors),
	}));
}

async function latestSeq(): Promise<number> {
	return Math.max(0, ...(await Promise.all(sites.map(heartbeats))).flat().map(({ seq }) => seq));
}

/** Waits for a heartbeat later than any before, on the host where the guest should be. */
async function nextHeartbeat(): Promise<void> {
	const before = await latestSeq();
	const { source } = pair();
	await until("a new heartbeat", async () => (await heartbeats(source)).some(({ seq }) => seq > before));
}

/** The guest runs once, on `here`; both agents agree; it has never booted again; it has found no error. */
async function expectOneGuest(): Promise<void> {
	const { source: owner, target: other } = pair();
	const settled = await until("both agents to agree", async () => {
		const [mine, theirs] = await Promise.all([snapshot(owner), snapshot(other)]);
		const guest = mine.guests.find(({ guestId }) => guestId === spec.id);
		const processes = [await owner.host.processes(), await other.host.processes()];
		const isSettled =
			guest?.role === "owner" && guest.state === "running" && guest.migrationId === null && theirs.guests.length === 0;
		return isSettled && processes[0]?.length === 1 && processes[1]?.length === 0 ? { guest } : null;
	});
	expect(settled.guest.remark).toBeNull();
	await nextHeartbeat();
	const all = (await Promise.all(sites.map(heartbeats))).flat();
	expect(new Set(all.map(({ boot }) => boot)).size).toBe(1);
	expect(all.filter(({ errors }) => errors > 0)).toEqual([]);
}

/** Volumes of the guest that are left on a host. */
async function volumesOn({ host }: Site): Promise<number> {
	const path = join(host.dataDir, "pools", "local", `${spec.volumes[0]?.id}.qcow2`);
	return readFile(path).then(
		() => 1,
		() => 0,
	);
}

test("an undisturbed move: the guest goes on, on the other host, and nothing of it is left", async () => {
	const move = await startMove();
	expect(await move.ended()).toMatchObject({ state: "completed", error: null });
	here = 1 - here;
	await expectOneGuest();
	const { source, target } = pair();
	expect([await volumesOn(source), await volumesOn(target)]).toEqual([1, 0]);
});

test.each(faultCases)("$name: the guest stays on the $staysOn", async ({ at, fault, staysOn, journal }) => {
	const { source, target } = pair();
	const paused = at.startsWith("source:") ? source.host : target.host;
	const { reached } = await paused.pauseAt(at);
	const move = await startMove();
	await reached;

	if (fault === "cut") {
		target.cable.cut();
		paused.goOn();
		// The silence has to be noticed: the cable is mended when the source knows that something is wrong.
		await until("the source to notice", async () => {
			const report = (await snapshot(source)).migrations.find(({ migrationId }) => migrationId === move.migrationId);
			return report && report.state !== "running";
		});
		target.cable.mend();
	} else {
		const killed = fault === "killSource" ? source.host : target.host;
		await killed.kill();
		if (paused !== killed) paused.goOn();
		await killed.start();
	}

	const report = await move.ended();
	if (staysOn === "target") here = 1 - here;
	expect(report.state).toBe(staysOn === "target" ? "completed" : "failed");
	expect(report.journal.map(({ text }) => text).join("; ")).toMatch(journal);
	await expectOneGuest();
	const { source: owner, target: other } = pair();
	expect([await volumesOn(owner), await volumesOn(other)]).toEqual([1, 0]);
});
