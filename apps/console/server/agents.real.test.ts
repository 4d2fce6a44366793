import { randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import { formatJoinString, parseJoinString } from "@sterna/shared/protocol/join";
import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Api, Browser, ConsoleProcess, heard, until } from "./testing/console-process.ts";
import {
	askAgentPort,
	Fleet,
	type Identity,
	join,
	joinStringOf,
	newRequest,
	ScriptedAgent,
} from "./testing/scripted-agent.ts";

let console: ConsoleProcess;
let api: Api;
const fleet = new Fleet();

beforeAll(async () => {
	console = await ConsoleProcess.start();
	({ api } = await Browser.asFirstAdmin(console));
});
afterAll(async () => {
	for (const agent of fleet.agents.values()) await agent.disconnect();
	await console.stop();
});

const joinLine = async () => (await api.hosts.createJoinToken.mutate({})).joinLine;
const newAgent = async (name: string) => {
	const agent = await ScriptedAgent.join(await joinLine(), name, fleet);
	await heard(api, agent.identity.hostId);
	return agent;
};
const events = async (kind: string, objectId: string) =>
	(await api.events.list.query({ kind, objectId })).rows.map(({ sentence }) => sentence);
const refused = (agent: ScriptedAgent) =>
	agent.connect().then(
		() => "let in",
		(error: Error) => error.message,
	);

describe("a join line", () => {
	test("pins the key of the agent port, and its install line lets curl check the same key", async () => {
		const token = await api.hosts.createJoinToken.mutate({});
		const { pin, address, port } = parseJoinString(joinStringOf(token.joinLine));
		expect([address, port]).toEqual(["127.0.0.1", console.agentPort]);
		expect(token.joinLine).toMatch(/^sterna-agent join sterna1:/);
		expect(token.installLine).toContain(`--pinnedpubkey 'sha256//${Buffer.from(pin, "base64url").toString("base64")}'`);
		const script = await askAgentPort(console.agentPort, "/agent/install.sh");
		expect(script.status).toBe(200);
		expect(script.text).toContain(`https://127.0.0.1:${console.agentPort}/agent`);
	});

	test("lets one server in, once (item 51)", async () => {
		const line = await joinLine();
		const identity = await join(line, "once-01");
		await expect(join(line, "once-02")).rejects.toThrow("refused with 403");
		const agent = new ScriptedAgent(identity, "once-01", fleet);
		await agent.connect();
		expect((await api.hosts.list.query({ filter: "once" })).rows.map(({ name }) => name)).toEqual(["once-01"]);
	});

	test("is burned by the fifth wrong guess: the sixth try fails with the right secret too (item 51)", async () => {
		const right = parseJoinString(joinStringOf(await joinLine()));
		const attempt = (secret: string) => join(`sterna-agent join ${formatJoinString({ ...right, secret })}`, "burned");
		for (let guess = 0; guess < 5; guess++) {
			const wrong = right.secret.slice(0, 10) + randomBytes(32).toString("base64url").slice(10);
			await expect(attempt(wrong)).rejects.toThrow("refused with 403");
		}
		await expect(attempt(right.secret)).rejects.toThrow("refused with 403");
	});

	test("is not used up by a request that cannot be served", async () => {
		const line = await joinLine();
		const { secret } = parseJoinString(joinStringOf(line));
		const ask = (body: object) => askAgentPort(console.agentPort, "/join", { body });
		expect((await ask({ secret, name: "retry-01", certificateRequest: "none" })).status).toBe(400);
		const { certificateRequest } = await newRequest();
		expect((await ask({ secret, name: "once-01", certificateRequest })).status).toBe(409);
		expect((await ask({ secret, name: "Retry 01", certificateRequest })).status).toBe(400);
		expect((await ask({ secret, name: "retry-01", certificateRequest })).status).toBe(200);
	});
});

describe("the agent port refuses", () => {
	test.each<[string, Parameters<typeof askAgentPort>[2] & { path: string }, number]>([
		["an unknown address", { path: "/" }, 404],
		["joining with a form", { path: "/join", raw: "a=b", contentType: "application/x-www-form-urlencoded" }, 400],
		["joining with half a JSON", { path: "/join", raw: "{" }, 400],
		["joining with a key twice", { path: "/join", raw: '{"secret":"a","secret":"b"}' }, 400],
		["joining with 1 MB", { path: "/join", raw: `"${"x".repeat(1_000_000)}"` }, 400],
		["renewing without a certificate", { path: "/renew", body: { certificateRequest: "x" } }, 401],
	])("%s", async (_, { path, ...options }, status) => {
		const answer = await askAgentPort(console.agentPort, path, options).catch(() => ({ status: 400 }));
		expect(answer.status).toBe(status);
	});

	test("a WebSocket without a certificate", async () => {
		const agent = await newAgent("naked-01");
		await agent.disconnect();
		const { WebSocket } = await import("ws");
		const status = await new Promise((resolve) => {
			const socket = new WebSocket(`wss://127.0.0.1:${console.agentPort}/agent`, { rejectUnauthorized: false });
			socket.once("unexpected-response", (_request, response) => resolve(response.statusCode));
			socket.once("error", () => {});
		});
		expect(status).toBe(401);
	});

	test("a protocol version that it does not speak (item 56), without keeping the host out", async () => {
		const agent = await newAgent("versions-01");
		await agent.disconnect();
		await expect(agent.connect({ versions: [99], connection: agent.connection++ })).rejects.toThrow(
			/no common protocol version|closed with 1008/,
		);
		await agent.connect();
	});
});

describe("a certificate", () => {
	test("is renewed over itself, for the same host only", async () => {
		const agent = await newAgent("renew-01");
		const { privateKey, certificateRequest } = await newRequest();
		const { status, text } = await askAgentPort(console.agentPort, "/renew", {
			body: { certificateRequest },
			identity: agent.identity,
		});
		expect(status).toBe(200);
		const renewed = JSON.parse(text);
		expect(renewed.hostId).toBe(agent.identity.hostId);
		await agent.disconnect();
		Object.assign(agent.identity, { privateKey, certificate: renewed.certificate } satisfies Partial<Identity>);
		await agent.connect();
	});

	test("of a revoked host opens nothing: its line is cut, and others are told (item 49)", async () => {
		const [agent, witness] = [await newAgent("revoked-01"), await newAgent("witness-01")];
		const closed = new Promise((resolve) => agent.socket?.once("close", resolve));
		witness.commands.length = 0;
		await api.hosts.revoke.mutate({ hostId: agent.identity.hostId, reason: "stolen" });
		await closed;
		expect(await refused(agent)).toBe("refused with 403");
		const { certificateRequest } = await newRequest();
		const renewal = { body: { certificateRequest }, identity: agent.identity };
		expect((await askAgentPort(console.agentPort, "/renew", renewal)).status).toBe(403);
		await until("the witness to be told", async () => witness.commands.includes("host.setRevocations"));
	});
});

describe("one key on two servers (item 52)", () => {
	test("both at once: both are kept out, and it is in the log", async () => {
		const first = await newAgent("cloned-01");
		const copy = new ScriptedAgent({ ...first.identity }, "cloned-01", new Fleet());
		copy.connection = 50;
		const firstClosed = new Promise((resolve) => first.socket?.once("close", resolve));
		expect(await refused(copy)).toMatch(/closed/);
		await firstClosed;
		await until("the quarantine", async () => (await refused(first)) === "refused with 403");
		expect(await refused(copy)).toBe("refused with 403");
		const written = await until("the event", async () => {
			const sentences = await events("host.quarantined", first.identity.hostId);
			return sentences.length > 0 && sentences;
		});
		expect(written).toEqual(["cloned-01 is kept out: two servers use its identity"]);
		expect((await api.overview.get.query()).headline.tone).toBe("failing");
	});

	test("one after the other: a connection number that was used before gives the copy away", async () => {
		const agent = await newAgent("restored-01");
		await agent.disconnect();
		agent.connection = 1;
		expect(await refused(agent)).toMatch(/closed with 1008/);
		expect(await refused(agent)).toBe("refused with 403");
	});

	test("a server that lost its line without notice just comes back", async () => {
		const agent = await newAgent("cut-01");
		const former = agent.socket;
		// Its end is silent and never says goodbye: what a pulled cable looks like to the console.
		former?.pause();
		await agent.connect();
		former?.terminate();
		expect((await api.hosts.get.query({ hostId: agent.identity.hostId })).quarantinedBecause).toBeNull();
	});
});

describe("what an agent says of things that are not its own is refused and logged (item 50)", () => {
	let owner: ScriptedAgent;
	let liar: ScriptedAgent;
	let guestId: GuestId;
	beforeAll(async () => {
		[owner, liar] = [await newAgent("owner-01"), await newAgent("liar-01")];
		const made = await api.guests.create.mutate({
			...{ name: "owned", vcpus: 1, memoryBytes: 64 * MiB, boot: { from: "disk" }, networks: [] },
			...{ volumes: [{ pool: "local", sizeBytes: MiB }], hostId: owner.identity.hostId },
		});
		guestId = made.guestId;
	});
	const refusals = async () => events("host.reportRefused", liar.identity.hostId);

	test("another host's guest, also under a higher epoch than was ever granted", async () => {
		const report = owner.guests.get(guestId);
		if (!report) throw new Error("no report");
		liar.setGuest({ ...report, epoch: 99, state: "crashed" });
		await until("the refusal", async () => (await refusals()).length === 1);
		expect(await api.guests.get.query({ guestId })).toMatchObject({
			state: "running",
			epoch: 1,
			host: { name: "owner-01" },
		});
	});

	test("a guest that nobody knows, a migration that nobody ordered, and another host's facts", async () => {
		const report = owner.guests.get(guestId);
		if (!report) throw new Error("no report");
		liar.setGuest({ ...report, guestId: newId(GuestId), name: "invented" });
		liar.setMigration({
			...{ migrationId: newId(MigrationId), guestId, epoch: 2, sourceHostId: liar.identity.hostId },
			...{
				targetHostId: newId(HostId),
				generation: 1,
				state: "running",
				phase: "handOver",
				startedAt: 0,
				endedAt: null,
			},
			...{
				phases: [],
				disk: null,
				memory: null,
				predictedDowntimeMs: null,
				measuredDowntimeMs: null,
				error: null,
				journal: [],
			},
		});
		liar.tell({ type: "host.changed", facts: { ...liar.facts(), hostId: owner.identity.hostId, cpuModel: "better" } });
		await until("the refusals", async () => (await refusals()).length === 4);
		expect((await api.guests.list.query({ filter: "invented" })).total).toBe(0);
		expect((await api.hosts.get.query({ hostId: owner.identity.hostId })).cpuModel).toBe("scripted");
	});

	test("old, doubled and late reports change nothing, a clock that is a year off bends nothing (item 55)", async () => {
		const report = owner.guests.get(guestId);
		if (!report) throw new Error("no report");
		const { run, id } = owner.place;
		const paused = {
			...report,
			state: "paused" as const,
			generation: 1_000_000,
			startedAt: Date.now() + 365 * 86_400_000,
		};
		owner.tellRaw({ run, id: id + 10, event: { type: "guest.changed", guest: paused } });
		await until("the newest", async () => (await api.guests.get.query({ guestId })).state === "paused");
		owner.tellRaw({
			run,
			id: id + 10,
			event: { type: "guest.changed", guest: { ...paused, state: "crashed", generation: 1_000_001 } },
		});
		owner.tellRaw({
			run,
			id: id + 2,
			event: { type: "guest.changed", guest: { ...paused, state: "crashed", generation: 1_000_002 } },
		});
		owner.tellRaw({
			run,
			id: id + 11,
			event: { type: "guest.changed", guest: { ...paused, state: "crashed", generation: 5 } },
		});
		owner.tellRaw({ run, id: id + 12, event: { type: "host.changed", facts: { ...owner.facts(), kernel: "seen" } } });
		const host = () => api.hosts.get.query({ hostId: owner.identity.hostId });
		await until("what came after them", async () => (await host()).kernel === "seen");
		const view = await api.guests.get.query({ guestId });
		expect(view.state).toBe("paused");
		expect(view.startedAt).toBeLessThanOrEqual(Date.now());
	});
});

describe("an agent that floods is cut off and the console goes on (item 54)", () => {
	test.each<[string, (agent: ScriptedAgent) => void]>([
		["a frame of 5 MB", (agent) => agent.socket?.send("x".repeat(5_000_000))],
		["a binary frame", (agent) => agent.socket?.send(Buffer.from("{}"), { binary: true })],
		["no JSON", (agent) => agent.socket?.send("hello")],
		[
			"ten thousand messages",
			(agent) => {
				for (let at = 0; at < 10_000; at++) agent.socket?.send('{"type":"end","id":1000000}');
			},
		],
		[
			"2001 guests",
			(agent) => {
				const guests = Array.from({ length: 2001 }, () => ({ guestId: newId(GuestId) }));
				agent.tellRaw({ ...agent.place, event: { ...agent.snapshot().event, guests } as never });
			},
		],
	])("%s", async (what, flood) => {
		const agent = await newAgent(`flood-${what.replace(/[^a-z0-9]/gi, "").toLowerCase()}`);
		const closed = new Promise((resolve) => agent.socket?.once("close", resolve));
		flood(agent);
		await closed;
		expect((await fetch(`${console.url}/healthz`)).status).toBe(200);
		expect((await api.hosts.get.query({ hostId: agent.identity.hostId })).quarantinedBecause).toBeNull();
	});
});

test("a host that finds something else every time opens no more findings than it has parts", async () => {
	const agent = await newAgent("nervous-01");
	const some = (round: number) =>
		Array.from({ length: 300 }, (_, part) => ({
			...{ key: `kernel/${round}/${part}`, sensor: "kernel" as const, component: `part ${part}`, signal: "errors" },
			...{ severity: "watch" as const, value: 1, threshold: 1, unit: "lines", windowMs: 0, rule: "any error" },
			...{ firstSeenAt: 1, lastSeenAt: 1, raw: "", relevant: true },
		}));
	for (const round of [1, 2, 3]) agent.setFindings(some(round));
	agent.setFindings(some(2));
	agent.measure(newId(GuestId), 0.75);
	const { hostId } = agent.identity;
	await until("its sample", async () => (await api.hosts.get.query({ hostId })).cpuUsed === 0.75);
	let opened = 0;
	for (let before: number | null | undefined; before !== null; ) {
		const page = await api.events.list.query({
			...{ kind: "finding.opened", objectId: hostId, limit: 100 },
			...(before ? { before } : {}),
		});
		opened += page.rows.length;
		before = page.nextBefore;
	}
	expect(opened).toBe(500);
});

describe("a guest whose host", () => {
	const wish = (name: string, agent: ScriptedAgent) => ({
		...{ name, vcpus: 1, memoryBytes: 64 * MiB, boot: { from: "disk" as const }, networks: [], start: false },
		...{ volumes: [{ pool: "shared", sizeBytes: MiB }], hostId: agent.identity.hostId },
	});
	const codeOf = (asked: Promise<unknown>) =>
		asked.then(
			() => "ok",
			(error: { data?: { sterna?: { code: string } } }) => error.data?.sterna?.code,
		);

	test("is cut off while it makes it is made when the host is back, also when that goes on where it stopped", async () => {
		const agent = await newAgent("half-01");
		agent.instead.set("guest.create", "swallow");
		const asked = codeOf(api.guests.create.mutate(wish("half-made", agent)));
		await until("the command", async () => agent.commands.includes("guest.create"));
		await agent.disconnect();
		expect(await asked).toBe("unavailable");
		const [row] = (await api.guests.list.query({ filter: "half-made" })).rows;
		expect(await codeOf(api.guests.start.mutate({ guestId: row?.id ?? "" }))).toMatch(/host_offline|wrong_state/);
		agent.instead.clear();
		agent.resumes = true;
		await agent.reconnect();
		await until("the guest", async () => agent.guests.size === 1);
		await until("its start", async () => (await codeOf(api.guests.start.mutate({ guestId: row?.id ?? "" }))) === "ok");
	});

	test("is cut off while it powers it off leaves in the log who asked", async () => {
		const agent = await newAgent("silent-01");
		const { guestId } = await api.guests.create.mutate({ ...wish("asked", agent), start: true });
		agent.instead.set("guest.powerOff", "swallow");
		const asked = codeOf(api.guests.powerOff.mutate({ guestId }));
		await until("the command", async () => agent.commands.includes("guest.powerOff"));
		await agent.disconnect();
		expect(await asked).toBe("unavailable");
		expect(await events("guest.unanswered", guestId)).toEqual([
			"ann asked to power off asked; whether it was done is not known",
		]);
	});

	test("refuses to make it, or to delete it, does not stand in the log as made or deleted", async () => {
		const agent = await newAgent("refusing-01");
		agent.instead.set("guest.create", new SternaError("no_capacity", "the pool is full"));
		expect(await codeOf(api.guests.create.mutate(wish("never-made", agent)))).toBe("no_capacity");
		expect(await events("guest.notCreated", agent.identity.hostId)).toEqual([
			"never-made was not created: refusing-01 refused",
		]);
		agent.instead.clear();
		const { guestId } = await api.guests.create.mutate(wish("kept", agent));
		agent.instead.set("guest.delete", new SternaError("wrong_state", "its disk is in use"));
		expect(await codeOf(api.guests.delete.mutate({ guestId }))).toBe("wrong_state");
		expect(await events("guest.notDeleted", guestId)).toEqual(["kept was not deleted: refusing-01 refused"]);
		expect((await api.guests.get.query({ guestId })).state).toBe("stopped");
	});
});
