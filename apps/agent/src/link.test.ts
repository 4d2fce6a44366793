import { truncate } from "node:fs/promises";
import { newId, VolumeId } from "@sterna/shared/ids";
import type { TrackedReport } from "@sterna/shared/protocol/report";
import type { Endpoint } from "@sterna/shared/protocol/rpc";
import { expect, test } from "vitest";
import { guestSpec, joinedServer, quickTimes, testConsole } from "./fixtures/test-agent.ts";
import { backoffMs, linkTimes } from "./link.ts";

async function runningAgent() {
	const console = await testConsole();
	const server = await joinedServer(console);
	const agent = await server.start();
	const first = await console.connection();
	return { console, server, agent, ...first };
}

/** Follows the agent's report until `wanted` was seen; resolves with everything that came. */
function follow(endpoint: Endpoint, after: TrackedReport | null, wanted: (report: TrackedReport) => boolean) {
	const abort = new AbortController();
	const seen: TrackedReport[] = [];
	const ended = endpoint.stream(
		"host.report",
		after ? { after: { run: after.run, id: after.id } } : {},
		(report) => {
			seen.push(report);
			if (wanted(report)) abort.abort();
		},
		abort.signal,
	);
	return ended.then(() => seen);
}

test("after a cut the agent comes back by itself, and the report goes on behind the last id without loss", async () => {
	const { console, endpoint } = await runningAgent();
	const specs = [guestSpec(), guestSpec(), guestSpec()];
	const before = await follow(endpoint, null, () => true);
	expect(before[0]?.event.type).toBe("snapshot");
	console.cut();
	const again = (await console.connection((connection) => connection.endpoint !== endpoint)).endpoint;
	for (const spec of specs) await again.call("guest.create", { spec, epoch: 1 });
	console.cut();
	const third = (await console.connection((connection) => ![endpoint, again].includes(connection.endpoint))).endpoint;
	const last = before.at(-1) ?? null;
	const names = new Set<string>();
	const resumed = await follow(third, last, ({ event }) => {
		if (event.type === "guest.changed") names.add(event.guest.name);
		return names.size === specs.length;
	});
	expect(resumed.every(({ event }) => event.type !== "snapshot")).toBe(true);
	expect([...names]).toEqual(specs.map(({ name }) => name));
	const ids = resumed.map(({ id }) => id);
	expect(ids).toEqual([...ids].sort((a, b) => a - b));
	expect(ids[0]).toBeGreaterThan(last?.id ?? 0);
});

test("ids of another life of the agent, or of the future, are answered with a snapshot", async () => {
	const { endpoint } = await runningAgent();
	const [{ run, id } = { run: "", id: 0 }] = await follow(endpoint, null, () => true);
	const snapshot = { event: { type: "snapshot" } };
	const event = { type: "guest.removed", guestId: guestSpec().id, generation: 1 } as const;
	expect(await follow(endpoint, { run: crypto.randomUUID(), id, event }, () => true)).toMatchObject([snapshot]);
	expect(await follow(endpoint, { run, id: id + 1_000_000, event }, () => true)).toMatchObject([snapshot]);
});

test("every connection has a higher number than all before it, over restarts too", async () => {
	const { console, server, agent, connection } = await runningAgent();
	console.cut();
	const second = (await console.connection((one) => one.connection !== connection)).connection;
	await agent.close();
	await server.start();
	const third = (await console.connection((one) => one.connection !== second && one.connection !== connection))
		.connection;
	expect(second).toBeGreaterThan(connection ?? Number.POSITIVE_INFINITY);
	expect(third).toBeGreaterThan(second ?? Number.POSITIVE_INFINITY);
});

test("a revoked host is turned away, says so in its status, and its guests run on", async () => {
	const { console, server, agent, endpoint } = await runningAgent();
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 1 });
	await endpoint.call("guest.start", { guestId: spec.id, epoch: 1 });
	console.revoked.add(server.hostId);
	console.cut();
	await expect.poll(() => agent.link.state).toMatchObject({ connected: false, problem: expect.stringMatching(/./) });
	expect(agent.report.guest(spec.id)).toMatchObject({ state: "running" });
	console.revoked.clear();
	await expect(console.connection((one) => one.endpoint !== endpoint)).resolves.toBeDefined();
});

test("a console that speaks no common version is refused with a sentence that names both sides", async () => {
	const { console, agent } = await runningAgent();
	const closed = new Promise<string>((resolve) => {
		console.onSocket = (socket) => {
			socket.on("close", (_code, reason) => resolve(reason.toString()));
			socket.send(JSON.stringify({ type: "hello", versions: [98, 99], program: "console of the future" }));
		};
	});
	console.cut();
	expect(await closed).toContain("no common protocol version: this side speaks 1, the other speaks 98, 99");
	await expect
		.poll(() => agent.link.state.problem)
		.toContain("no common protocol version: this side speaks 1, the other speaks 98, 99");
});

test.each([
	["text that is not JSON", "hello?"],
	["nesting of 10,000 levels", "[".repeat(10_000) + "]".repeat(10_000)],
	["a frame of 5 MB", JSON.stringify({ type: "hello", versions: [1], program: "x".repeat(5_000_000) })],
	["a call before the hello", JSON.stringify({ type: "call", id: 1, command: "host.describe", input: {} })],
	["keys that reach into prototypes", '{"type":"hello","versions":[1],"program":"x","__proto__":{"a":1}}'],
	["a key twice", '{"type":"hello","type":"hello","versions":[1],"program":"x"}'],
	["an unknown field", '{"type":"hello","versions":[1],"program":"x","root":true}'],
])("a console that sends %s is left, and the agent comes back", async (_what, frame) => {
	const { console, endpoint } = await runningAgent();
	const left = new Promise<void>((resolve) => {
		console.onSocket = (socket) => {
			// The next one is served: the agent may be back before its end of this one is seen here.
			console.onSocket = null;
			socket.on("error", () => {});
			socket.on("close", resolve);
			socket.send(frame);
		};
	});
	console.cut();
	await left;
	const { endpoint: again } = await console.connection((one) => one.endpoint !== endpoint);
	await expect(again.call("host.snapshot", {})).resolves.toMatchObject({ type: "snapshot" });
});

test("a console that stops reading is left after two heartbeats, and served again when it is back", async () => {
	const { console, server, agent: first, endpoint: before } = await runningAgent();
	const spec = guestSpec();
	await before.call("guest.create", { spec, epoch: 1 });
	await before.call("guest.start", { guestId: spec.id, epoch: 1 });
	await first.close();
	const agent = await server.start({ linkTimes: { ...quickTimes, heartbeatMs: 1000 } });
	const { endpoint, socket } = await console.connection((one) => one.endpoint !== before);
	await truncate(agent.driver.serialLogPath(spec.id), 256 * 1024 * 1024);
	const flood = endpoint.stream(
		"guest.serialOutput",
		{ guestId: spec.id, fromOffset: 0 },
		() => socket.pause(),
		new AbortController().signal,
	);
	const { endpoint: again } = await console.connection((one) => ![before, endpoint].includes(one.endpoint));
	socket.terminate();
	await expect(flood).rejects.toMatchObject({ code: "unavailable" });
	await expect(again.call("host.snapshot", {})).resolves.toMatchObject({ guests: [{ state: "running" }] });
});

test("what no command allows is refused typed, and the connection stays", async () => {
	const { endpoint } = await runningAgent();
	const spec = guestSpec();
	const calls: [string, unknown][] = [
		["guest.exec", { command: "id" }],
		["__proto__", {}],
		["incoming.run", { migrationId: newId(VolumeId), guestId: spec.id, epoch: 1 }],
		["agent.status", {}],
		["guest.create", { spec: { ...spec, name: "../../etc/passwd" }, epoch: 1 }],
		["guest.create", { spec: { ...spec, name: "-drive" }, epoch: 1 }],
		["guest.create", { spec: { ...spec, name: "x,file=/etc/shadow" }, epoch: 1 }],
		["guest.create", { spec: { ...spec, memoryBytes: -1 }, epoch: 1 }],
		["guest.create", { spec: { ...spec, memoryBytes: "8G" }, epoch: 1 }],
		["guest.create", { spec: { ...spec, vcpus: 0 }, epoch: 1 }],
		["guest.create", { spec: { ...spec, vcpus: 100_000 }, epoch: 1 }],
		["guest.create", { spec: { ...spec, volumes: [{ ...spec.volumes[0], pool: "../.." }] }, epoch: 1 }],
		["guest.create", { spec: { ...spec, nics: [{ ...spec.nics[0], mac: "01:00:5e:00:00:01" }] }, epoch: 1 }],
		["guest.create", { spec: { ...spec, privileged: true }, epoch: 1 }],
		["guest.create", { spec, epoch: 0 }],
		["guest.start", { guestId: "../../etc", epoch: 1 }],
		["guest.serialInput", { guestId: spec.id, data: "not base64!" }],
	];
	for (const [command, input] of calls) {
		const call = endpoint.call(command as "guest.start", input as { guestId: string; epoch: number });
		await expect(call, command).rejects.toMatchObject({
			code: expect.stringMatching(/^(invalid|not_found|forbidden)$/),
		});
	}
	expect((await endpoint.call("host.snapshot", {})).guests).toEqual([]);
});

test("the wait before dialling again doubles up to its limit and differs between hosts", () => {
	const never = () => 0;
	const always = () => 1;
	expect(backoffMs(0, linkTimes, always)).toBe(500);
	expect(backoffMs(3, linkTimes, always)).toBe(4000);
	expect(backoffMs(1000, linkTimes, always)).toBe(30_000);
	expect(backoffMs(1000, linkTimes, never)).toBe(250);
});
