import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printable } from "@sterna/shared/names";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventTimeMs, QmpClient } from "./client.ts";
import { maxFrameBytes } from "./frames.ts";
import { event, negotiated, ScriptedMonitor, type Step } from "./transcript.ts";

let folder: string;
const open: { close(): void }[] = [];

beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "qmp-"));
});
afterEach(async () => {
	for (const each of open.splice(0).reverse()) each.close();
	await rm(folder, { recursive: true, force: true });
});

async function play(...script: Step[]): Promise<{ path: string; monitor: ScriptedMonitor }> {
	const path = join(folder, "qmp");
	const monitor = await ScriptedMonitor.play(path, script);
	open.push(monitor);
	return { path, monitor };
}

async function connectTo(...script: Step[]): Promise<{ client: QmpClient; monitor: ScriptedMonitor }> {
	const { path, monitor } = await play(...negotiated, ...script);
	const client = await QmpClient.connect(path, { owner: "guest web-1" });
	open.push(client);
	return { client, monitor };
}

const status = { running: true, status: "running", singlestep: false };

test("it greets, negotiates out-of-band execution and knows the release", async () => {
	const { client, monitor } = await connectTo();
	expect(client.version).toMatchObject({ major: 10, minor: 0 });
	expect(monitor.heard).toEqual([{ verb: "execute", name: "qmp_capabilities", arguments: { enable: ["oob"] } }]);
});

test("a monitor that serves somebody else, and so does not greet, is a timeout", async () => {
	const { path } = await play();
	const connecting = QmpClient.connect(path, { owner: "guest web-1", greetingTimeoutMs: 30 });
	await expect(connecting).rejects.toMatchObject({ code: "timeout", message: expect.stringContaining("web-1") });
});

test("no socket is unavailable", async () => {
	const connecting = QmpClient.connect(join(folder, "none"), { owner: "guest web-1" });
	await expect(connecting).rejects.toMatchObject({ code: "unavailable" });
});

test("what is no monitor is refused", async () => {
	const { path } = await play({ say: { hello: "world" } });
	await expect(QmpClient.connect(path, { owner: "guest web-1" })).rejects.toMatchObject({ code: "invalid" });
});

test("an answer that comes in pieces, after other events, is put together", async () => {
	const message = JSON.stringify({ id: 2, return: status });
	const { client } = await connectTo(
		{ hear: "query-status" },
		event("SOMETHING_NEW", { with: "data" }),
		...[...message].map((raw) => ({ raw })),
		{ raw: "\r\n" },
	);
	expect(await client.execute("query-status", {})).toEqual({ running: true, status: "running" });
});

test("two messages in one piece are two messages", async () => {
	const both = `${JSON.stringify({ id: 2, return: {} })}\n${JSON.stringify({ id: 3, return: status })}\n`;
	const { client } = await connectTo({ hear: "stop" }, { hear: "query-status" }, { raw: both });
	const [, answer] = await Promise.all([client.execute("stop", {}), client.execute("query-status", {})]);
	expect(answer.status).toBe("running");
});

test("a run state that a newer QEMU invented is read as unknown, not as an error", async () => {
	const { client } = await connectTo({ hear: "query-status", answer: { ...status, status: "dreaming" } });
	expect((await client.execute("query-status", {})).status).toBe("unknown");
});

test("a refusal says QEMU's reason without the control characters that a guest may have put there", async () => {
	const error = { class: "GenericError", desc: "cannot \u001b[31mstop\u202e it\u0000" };
	const { client } = await connectTo({ hear: "stop", error }, { hear: "query-status", answer: status });
	const refusal = await client.execute("stop", {}).catch((thrown: unknown) => thrown);
	expect(refusal).toMatchObject({ code: "wrong_state", message: expect.stringContaining("cannot") });
	expect(String(refusal)).toBe(printable(String(refusal)));
	expect((await client.execute("query-status", {})).running).toBe(true);
});

test("a silent monitor is a timeout, and its late answer harms nobody", async () => {
	const { client } = await connectTo(
		{ hear: "stop" },
		{ hear: "query-status" },
		{ say: { id: 2, return: {} } },
		{ say: { id: 3, return: status } },
	);
	await expect(client.execute("stop", {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "timeout" });
	expect((await client.execute("query-status", {})).running).toBe(true);
});

test("while the monitor is silent, yank is heard out of band", async () => {
	const { client, monitor } = await connectTo({ hear: "migrate_cancel" }, { hear: "yank", answer: {} });
	await expect(client.execute("migrate_cancel", {}, { timeoutMs: 20 })).rejects.toMatchObject({ code: "timeout" });
	await client.yank([{ type: "migration" }]);
	expect(monitor.heard.at(-1)).toEqual({
		verb: "exec-oob",
		name: "yank",
		arguments: { instances: [{ type: "migration" }] },
	});
});

test("an event that comes before the answer to its command is not missed", async () => {
	const { client } = await connectTo({ hear: "stop" }, event("STOP"), { say: { id: 2, return: {} } });
	const stopped = client.waitFor((seen) => (seen.event === "STOP" ? eventTimeMs(seen) : undefined), {
		timeoutMs: 20_000,
		reason: "stop",
	});
	await client.execute("stop", {});
	expect(await stopped.value).toBe(1_700_000_000_250);
});

test("waiting for an event ends at its deadline, with its reason", async () => {
	const { client } = await connectTo();
	const waiting = client.waitFor(() => undefined, { timeoutMs: 20, reason: "copy its memory" });
	await expect(waiting.value).rejects.toMatchObject({
		code: "timeout",
		message: "guest web-1 did not copy its memory within 20 ms",
	});
});

test("waiting for an event ends when it is cancelled", async () => {
	const { client } = await connectTo();
	const cancel = new AbortController();
	const waiting = client.waitFor(() => undefined, { timeoutMs: 5000, reason: "stop", signal: cancel.signal });
	cancel.abort();
	await expect(waiting.value).rejects.toMatchObject({ code: "cancelled" });
});

test("when the connection is lost every waiter hears it at once", async () => {
	const { client } = await connectTo({ hear: "stop" }, { hear: "cont" }, { hangUp: true });
	const waiting = client.waitFor(() => undefined, { timeoutMs: 60_000, reason: "stop" });
	const ends = await Promise.allSettled([
		client.execute("stop", {}, { timeoutMs: 60_000 }),
		client.execute("cont", {}, { timeoutMs: 60_000 }),
		waiting.value,
	]);
	for (const end of ends) expect(end).toMatchObject({ status: "rejected", reason: { code: "unavailable" } });
	await expect(client.execute("stop", {})).rejects.toMatchObject({ code: "unavailable" });
});

const garbage: [string, Step[]][] = [
	["what is no JSON", [{ raw: "{garbage\n" }]],
	["JSON that is no message", [{ say: { surprise: true } }]],
	["JSON that is too deep", [{ raw: `${"[".repeat(100_000)}\n` }]],
	["a key that reaches into prototypes", [{ raw: '{"id":2,"return":{"__proto__":{"running":true}}}\n' }]],
	["an event without its data", [event("BLOCK_JOB_READY", { name: 7 })]],
	["a message without end", [{ raw: Buffer.alloc(maxFrameBytes + 1, "x") }]],
	[
		"a flood of events",
		[
			{
				raw: `${JSON.stringify({ event: "RTC_CHANGE", timestamp: { seconds: 1, microseconds: 1 } })}\n`.repeat(10_000),
			},
		],
	],
];
test.each(garbage)("%s ends the connection with an error that says so", async (_what, steps) => {
	const { client } = await connectTo({ hear: "query-status" }, ...steps);
	const asking = client.execute("query-status", {}, { timeoutMs: 20_000 });
	await expect(asking).rejects.toMatchObject({ name: "SternaError", code: "invalid" });
	expect(client.closed).toMatchObject({ code: "invalid" });
});

test("an answer of another shape than the schema's is refused, and the connection goes on", async () => {
	const { client } = await connectTo(
		{ hear: "query-status", answer: { running: "yes" } },
		{ hear: "query-status", answer: status },
	);
	await expect(client.execute("query-status", {})).rejects.toMatchObject({ code: "invalid" });
	expect((await client.execute("query-status", {})).running).toBe(true);
});

test("an old monitor without out-of-band execution is not asked for it", async () => {
	const version = { qemu: { major: 7, minor: 2, micro: 0 } };
	const { path, monitor } = await play(
		{ say: { QMP: { version, capabilities: [] } } },
		{ hear: "qmp_capabilities", answer: {} },
	);
	const client = await QmpClient.connect(path, { owner: "guest web-1" });
	open.push(client);
	expect(monitor.heard[0]?.arguments).toEqual({ enable: [] });
});
