import { access, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { transition } from "@sterna/migration/handover";
import { newId, VolumeId } from "@sterna/shared/ids";
import type { Endpoint } from "@sterna/shared/protocol/rpc";
import { expect, test } from "vitest";
import { guestSpec, joinedServer, testConsole } from "./fixtures/test-agent.ts";
import type { TestConsole } from "./fixtures/test-console.ts";
import { GuestStore } from "./guests/store.ts";
import { readStatus } from "./status/read.ts";
import { statusText } from "./status/text.ts";

async function runningAgent() {
	const console = await testConsole();
	const server = await joinedServer(console);
	const agent = await server.start();
	const { endpoint } = await console.connection();
	return { console, server, agent, endpoint };
}

/** The endpoint of the connection after this one: of an agent that was started again. */
async function nextEndpoint(console: TestConsole, before: Endpoint): Promise<Endpoint> {
	return (await console.connection(({ endpoint }) => endpoint !== before)).endpoint;
}

async function createRunning(endpoint: Endpoint, spec = guestSpec()) {
	await endpoint.call("guest.create", { spec, epoch: 1 });
	return { spec, report: await endpoint.call("guest.start", { guestId: spec.id, epoch: 1 }) };
}

test("a server joins, its agent connects, and the console creates and starts a guest on it", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	expect((await console.connection()).hostId).toBe(server.hostId);
	const { spec, report } = await createRunning(endpoint);
	expect(report).toMatchObject({ state: "running", role: "owner", epoch: 1, accelerator: "simulated" });
	expect(await agent.driver.inspect(spec.id)).toMatchObject({ state: "running" });
	await expect(access(join(server.dataDir, "pools/local", `${spec.volumes[0]?.id}.qcow2`))).resolves.toBeUndefined();
});

test("a guest runs on when its agent ends, and the next agent reports it by a higher generation", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const { spec, report } = await createRunning(endpoint);
	await agent.close();
	await server.start();
	const again = await nextEndpoint(console, endpoint);
	const [guest] = (await again.call("host.snapshot", {})).guests;
	expect(guest).toMatchObject({ guestId: spec.id, state: "running", startedAt: report.startedAt });
	expect(guest?.generation).toBeGreaterThan(report.generation);
});

test("after a restart of the server a guest stays stopped and says why, until the console starts it", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	await agent.close();
	await server.reboot();
	const next = await server.start({ bootId: "boot-2" });
	const again = await nextEndpoint(console, endpoint);
	const [guest] = (await again.call("host.snapshot", {})).guests;
	expect(guest).toMatchObject({ state: "stopped", remark: expect.stringContaining("server was restarted") });
	expect(await next.driver.inspect(spec.id)).toMatchObject({ state: "absent" });
	await expect(again.call("guest.start", { guestId: spec.id, epoch: 1 })).resolves.toMatchObject({ state: "running" });
});

test("a guest whose process ended while the agent was away is reported as crashed", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	await createRunning(endpoint);
	await agent.close();
	await server.reboot();
	await server.start();
	const again = await nextEndpoint(console, endpoint);
	expect((await again.call("host.snapshot", {})).guests).toMatchObject([{ state: "crashed" }]);
});

test("a guest whose process is killed is reported as crashed with how it ended, and can be started again", async () => {
	const { agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	const followed = Promise.withResolvers<void>();
	const crashed = new Promise((resolve) => {
		const abort = new AbortController();
		void endpoint.stream(
			"host.report",
			{},
			({ event }) => {
				followed.resolve();
				if (event.type !== "guest.changed" || event.guest.remark !== "killed by SIGKILL") return;
				resolve(event.guest.state);
				abort.abort();
			},
			abort.signal,
		);
	});
	await followed.promise;
	await agent.driver.crash(spec.id);
	expect(await crashed).toBe("crashed");
	await expect(endpoint.call("guest.start", { guestId: spec.id, epoch: 1 })).resolves.toMatchObject({
		state: "running",
		remark: null,
	});
});

test("a command under a lower epoch is refused and changes nothing", async () => {
	const { agent, endpoint } = await runningAgent();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 5 });
	await expect(endpoint.call("guest.start", { guestId: spec.id, epoch: 4 })).rejects.toMatchObject({
		code: "conflict",
		message: expect.stringContaining("epoch 4"),
	});
	await expect(endpoint.call("guest.delete", { guestId: spec.id, epoch: 4 })).rejects.toMatchObject({
		code: "conflict",
	});
	expect(await agent.driver.inspect(spec.id)).toMatchObject({ state: "absent" });
	expect((await endpoint.call("host.snapshot", {})).guests).toMatchObject([{ state: "stopped", epoch: 5 }]);
});

test("of two admins who start and delete a guest at once one wins and the other gets a clear refusal", async () => {
	const { agent, endpoint } = await runningAgent();
	const first = guestSpec();
	await endpoint.call("guest.create", { spec: first, epoch: 1 });
	const [started, deleted] = await Promise.allSettled([
		endpoint.call("guest.start", { guestId: first.id, epoch: 1 }),
		endpoint.call("guest.delete", { guestId: first.id, epoch: 1 }),
	]);
	expect(started).toMatchObject({ status: "fulfilled", value: { state: "running" } });
	expect(deleted).toMatchObject({
		status: "rejected",
		reason: { code: "wrong_state", message: expect.stringContaining("it is running") },
	});

	const second = guestSpec();
	await endpoint.call("guest.create", { spec: second, epoch: 1 });
	const outcome = await Promise.allSettled([
		endpoint.call("guest.delete", { guestId: second.id, epoch: 1 }),
		endpoint.call("guest.delete", { guestId: second.id, epoch: 1 }),
		endpoint.call("guest.start", { guestId: second.id, epoch: 1 }),
	]);
	expect(outcome).toMatchObject([
		{ status: "fulfilled" },
		{ status: "rejected", reason: { code: "not_found" } },
		{ status: "rejected", reason: { code: "not_found" } },
	]);
	expect(await agent.driver.inspect(second.id)).toMatchObject({ state: "absent" });
});

test("starting a running guest again is answered as done and starts nothing", async () => {
	const { endpoint } = await runningAgent();
	const { spec, report } = await createRunning(endpoint);
	const again = await endpoint.call("guest.start", { guestId: spec.id, epoch: 1 });
	expect(again).toEqual(report);
});

test("a guest goes through pause, resume, power off and delete, and takes its disks with it", async () => {
	const { server, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	const one = { guestId: spec.id, epoch: 1 };
	expect(await endpoint.call("guest.pause", one)).toMatchObject({ state: "paused" });
	expect(await endpoint.call("guest.resume", one)).toMatchObject({ state: "running" });
	expect(await endpoint.call("guest.powerOff", one)).toMatchObject({ state: "stopped", startedAt: null });
	await endpoint.call("guest.delete", one);
	expect((await endpoint.call("host.snapshot", {})).guests).toEqual([]);
	expect(await readdir(join(server.dataDir, "pools/local"))).toEqual([".sterna-pool.json"]);
});

test("the epoch of a deleted guest is remembered over a restart: a late command does not bring it back", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 3 });
	await endpoint.call("guest.delete", { guestId: spec.id, epoch: 3 });
	await agent.close();
	await server.start();
	const again = await nextEndpoint(console, endpoint);
	await expect(again.call("guest.create", { spec, epoch: 3 })).rejects.toMatchObject({ code: "conflict" });
	expect(await readdir(join(server.dataDir, "pools/local"))).toEqual([".sterna-pool.json"]);
	await expect(again.call("guest.create", { spec, epoch: 4 })).resolves.toMatchObject({ epoch: 4, state: "stopped" });
});

test("a deletion that was interrupted is finished by the next life of the agent", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 1 });
	await agent.close();
	const store = await GuestStore.open(server.dataDir);
	await store.writeRun(spec.id, { desired: "deleted" });
	await store.update(spec.id, (record) => transition(record, { type: "forget", epoch: 1 }));
	await server.start();
	const again = await nextEndpoint(console, endpoint);
	expect((await again.call("host.snapshot", {})).guests).toEqual([]);
	expect(await readdir(join(server.dataDir, "pools/local"))).toEqual([".sterna-pool.json"]);
	expect(await readdir(join(server.dataDir, "guests", spec.id))).toEqual(["record.json"]);
});

test("a guest whose record has let go of it is ended if it still runs, and its disks, which may be shared, stay", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	await agent.close();
	const store = await GuestStore.open(server.dataDir);
	await store.update(spec.id, (record) => transition(record, { type: "forget", epoch: 1 }));
	const next = await server.start();
	const again = await nextEndpoint(console, endpoint);
	expect(await next.driver.inspect(spec.id)).toMatchObject({ state: "absent" });
	expect((await again.call("host.snapshot", {})).guests).toEqual([]);
	await expect(access(join(server.dataDir, "pools/local", `${spec.volumes[0]?.id}.qcow2`))).resolves.toBeUndefined();
});

test("a process whose guest folder is gone is left running: what is not understood is not ended", async () => {
	const { server, agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	await agent.close();
	await rm(join(server.dataDir, "guests", spec.id), { recursive: true });
	const next = await server.start();
	expect(await next.driver.inspect(spec.id)).toMatchObject({ state: "running" });
});

test("creating the same guest again changes nothing; another specification under its id is refused", async () => {
	const { endpoint } = await runningAgent();
	const spec = guestSpec();
	const created = await endpoint.call("guest.create", { spec, epoch: 1 });
	expect(await endpoint.call("guest.create", { spec, epoch: 1 })).toEqual(created);
	await expect(endpoint.call("guest.create", { spec: { ...spec, vcpus: 2 }, epoch: 1 })).rejects.toMatchObject({
		code: "conflict",
	});
});

test("a guest with the disk or the address of another one is refused, and the other keeps both", async () => {
	const { endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	for (const thief of [guestSpec({ volumes: spec.volumes }), guestSpec({ nics: spec.nics })]) {
		await expect(endpoint.call("guest.create", { spec: thief, epoch: 1 })).rejects.toMatchObject({
			code: "conflict",
			message: expect.stringContaining(spec.name),
		});
	}
	expect((await endpoint.call("host.snapshot", {})).guests).toMatchObject([{ guestId: spec.id, state: "running" }]);
});

test("a guest that cannot get all its disks leaves none behind, and the same call again makes it", async () => {
	const { server, agent, endpoint } = await runningAgent();
	const volume = { pool: "local", sizeBytes: 16 * 1024 * 1024 };
	const spec = guestSpec({
		volumes: [
			{ id: newId(VolumeId), ...volume },
			{ id: newId(VolumeId), ...volume },
		],
	});
	agent.driver.faults.failAt("createVolume", { when: "after" });
	await expect(endpoint.call("guest.create", { spec, epoch: 1 })).rejects.toMatchObject({ code: "unavailable" });
	expect(await readdir(join(server.dataDir, "pools/local"))).toEqual([".sterna-pool.json"]);
	expect((await endpoint.call("host.snapshot", {})).guests).toEqual([]);
	await expect(endpoint.call("guest.create", { spec, epoch: 1 })).resolves.toMatchObject({ state: "stopped" });
});

test("a guest on a pool or network that the host does not have is refused by name", async () => {
	const { endpoint } = await runningAgent();
	const spec = guestSpec({ volumes: [{ id: newId(VolumeId), pool: "elsewhere", sizeBytes: 16 * 1024 * 1024 }] });
	await expect(endpoint.call("guest.create", { spec, epoch: 1 })).rejects.toMatchObject({
		code: "not_found",
		message: "this host has no storage pool elsewhere",
	});
});

test("a start that fails leaves the guest stopped, with the reason for the caller", async () => {
	const { agent, endpoint } = await runningAgent();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 1 });
	agent.driver.faults.failAt("start");
	await expect(endpoint.call("guest.start", { guestId: spec.id, epoch: 1 })).rejects.toMatchObject({
		code: "unavailable",
	});
	expect((await endpoint.call("host.snapshot", {})).guests).toMatchObject([{ state: "stopped" }]);
});

test("a damaged guest folder is reported and never overwritten, and the other guests go on", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const { spec: damaged } = await createRunning(endpoint);
	const { spec: whole } = await createRunning(endpoint);
	await agent.close();
	const path = join(server.dataDir, "guests", damaged.id, "record.json");
	await writeFile(path, '{"role":"owner","epo');
	await server.start();
	const again = await nextEndpoint(console, endpoint);
	const { guests, findings } = await again.call("host.snapshot", {});
	expect(guests).toMatchObject([{ guestId: whole.id, state: "running" }]);
	expect(findings).toMatchObject([{ signal: "damagedRecord", component: expect.stringContaining(damaged.id) }]);
	for (const command of ["guest.create", "guest.delete"] as const) {
		const call =
			command === "guest.create"
				? again.call(command, { spec: damaged, epoch: 9 })
				: again.call(command, { guestId: damaged.id, epoch: 9 });
		await expect(call).rejects.toBeInstanceOf(Error);
	}
	expect(await readFile(path, "utf8")).toBe('{"role":"owner","epo');
	const status = await readStatus(server.dataDir);
	expect(statusText(status, Date.now())).toContain(`Damaged: guest ${damaged.id}`);
});

test("a disk that gives a guest an error is a finding about its host at once", async () => {
	const { agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	const [volume] = spec.volumes;
	if (!volume) throw new Error("the guest has no volume");
	agent.driver.failDisk({ guestId: spec.id, volumeId: volume.id, operation: "write", text: "No space left on device" });
	expect((await endpoint.call("host.snapshot", {})).findings).toMatchObject([
		{ sensor: "disk", severity: "degraded", relevant: true, raw: expect.stringContaining("No space left on device") },
	]);
});

test("a guest's serial line is followed from any offset, takes input, and ends with the guest", async () => {
	const { endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	let text = "";
	let offset = 0;
	let hasEchoed = () => {};
	const echoed = new Promise<void>((resolve) => {
		hasEchoed = resolve;
	});
	const signal = new AbortController().signal;
	const ended = endpoint.stream(
		"guest.serialOutput",
		{ guestId: spec.id, fromOffset: 0 },
		(chunk) => {
			expect(chunk.offset).toBe(offset);
			const bytes = Buffer.from(chunk.data, "base64");
			offset += bytes.length;
			text += bytes.toString();
			if (text.includes(">x")) hasEchoed();
		},
		signal,
	);
	await endpoint.call("guest.serialInput", { guestId: spec.id, data: Buffer.from("x").toString("base64") });
	await echoed;
	await endpoint.call("guest.powerOff", { guestId: spec.id, epoch: 1 });
	await ended;
	expect(text).toContain(">x\n");

	const tail: string[] = [];
	await endpoint.stream(
		"guest.serialOutput",
		{ guestId: spec.id, fromOffset: text.indexOf(">x") },
		(chunk) => tail.push(Buffer.from(chunk.data, "base64").toString()),
		signal,
	);
	expect(tail.join("")).toBe(text.slice(text.indexOf(">x")));
});

test("a second agent on the same data folder is refused while the first runs", async () => {
	const { server, agent } = await runningAgent();
	await expect(server.start()).rejects.toMatchObject({ code: "conflict" });
	await agent.close();
	await expect(server.start()).resolves.toMatchObject({ hostId: server.hostId });
});

test("the status is told without a console, and without an agent it is read from the folders", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const { spec } = await createRunning(endpoint);
	await console.close();
	const online = await readStatus(server.dataDir);
	expect(online).toMatchObject({ agent: "running", host: { guests: [{ name: spec.name, state: "running" }] } });
	expect(statusText(online, Date.now())).toMatch(new RegExp(`${spec.name} +running +owner +1`));
	await agent.close();
	const offline = statusText(await readStatus(server.dataDir), Date.now());
	expect(offline).toContain("the agent is not running");
	expect(offline).toMatch(new RegExp(`${spec.name} +running +owner under epoch 1`));
});
