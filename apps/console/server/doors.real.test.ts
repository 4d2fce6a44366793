import { connect } from "node:net";
import { GiB, MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Api, admin, Browser, ConsoleProcess, codeOf, heard, until } from "./testing/console-process.ts";
import { Fleet, ScriptedAgent } from "./testing/scripted-agent.ts";

let console: ConsoleProcess;
let browser: Browser;
let api: Api;
let agent: ScriptedAgent;

const wish = {
	name: "web-1",
	vcpus: 1,
	memoryBytes: 128 * MiB,
	boot: { from: "disk" },
	volumes: [{ pool: "local", sizeBytes: 256 * MiB }],
	networks: ["lan"],
	start: false,
};

beforeAll(async () => {
	console = await ConsoleProcess.start();
});
afterAll(async () => {
	await agent?.disconnect();
	await console.stop();
});

/** One raw request; the code of the answer's error, or `ok`. */
async function post(path: string, body: string, headers: Record<string, string> = {}): Promise<string> {
	const response = await browser.fetch(`/api/trpc/${path}`, {
		method: "POST",
		body,
		headers: { "content-type": "application/json", ...headers },
	});
	const answer = JSON.parse(await response.text());
	const first = Array.isArray(answer) ? answer[0] : answer;
	return first.error ? (first.error.data?.sterna?.code ?? "no code") : "ok";
}

describe("the first start", () => {
	test("a wrong token makes no admin, the printed one makes one and is used up", async () => {
		browser = new Browser(console);
		api = browser.api;
		expect(await api.setup.state.query()).toEqual({ needsAdmin: true, demo: false });
		expect(await codeOf(api.setup.createAdmin.mutate({ token: "x".repeat(43), ...admin }))).toBe("forbidden");
		expect(await codeOf(api.setup.createAdmin.mutate({ token: console.setupToken, ...admin, password: "short" }))).toBe(
			"invalid",
		);
		const me = await api.setup.createAdmin.mutate({ token: console.setupToken, ...admin });
		expect(me).toMatchObject({ name: "ann", role: "admin" });
		expect(await api.session.me.query()).toEqual(me);
		const again = { token: console.setupToken, ...admin, userName: "eve", email: "eve@example.com" };
		expect(await codeOf(new Browser(console).api.setup.createAdmin.mutate(again))).toBe("wrong_state");
	});

	test("a server joins and offers a place for guests", async () => {
		const { joinLine } = await api.hosts.createJoinToken.mutate({});
		agent = await ScriptedAgent.join(joinLine, "rack1-01", new Fleet());
		await heard(api, agent.identity.hostId);
		// The first thing that it is told; what it is told later, the tests below ask for.
		await until("the revocations", async () => agent.commands.includes("host.setRevocations"));
	});
});

describe("signing in", () => {
	test("by name or by address, out again, and the cookie is for this site only", async () => {
		const other = new Browser(console);
		const response = await other.fetch("/api/trpc/session.signIn", {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ account: "ann@example.com", password: admin.password }),
		});
		const [cookie = ""] = response.headers.getSetCookie();
		expect(cookie).toMatch(/HttpOnly/i);
		expect(cookie).toMatch(/SameSite=Lax/i);
		expect((await other.api.session.me.query())?.name).toBe("ann");
		const kept = other.cookie;
		await other.api.session.signOut.mutate();
		expect(await other.api.session.me.query()).toBeNull();
		const stolen = await fetch(`${console.url}/api/trpc/hosts.list`, { headers: { cookie: kept } });
		expect(stolen.status).toBe(401);
	});

	test("guessing is told nothing and slowed down; who waits as told is let in again", async () => {
		const attempt = (account: string, password = "guess") =>
			codeOf(new Browser(console).api.session.signIn.mutate({ account, password }));
		expect(await attempt("nobody")).toBe("unauthenticated");
		const codes = new Set<unknown>();
		// On a slow machine a second passes between two guesses; the wait doubles, so one of them comes too early.
		for (let guess = 0; guess < 20 && !codes.has("unavailable"); guess++) codes.add(await attempt("bob"));
		expect(codes).toEqual(new Set(["unauthenticated", "unavailable"]));
		await until("the end of the wait", async () => (await attempt("ann", admin.password)) !== "unavailable");
		expect(await attempt("ann", admin.password)).toBe("ok");
	});
});

describe("bad names, numbers and JSON for a new guest are refused and make none (items 1–13, 15–17)", () => {
	const change = (part: object) => JSON.stringify({ ...wish, ...part });
	const big = "x".repeat(65_536);
	test.each<[string, string]>([
		["1: a path for a name", change({ name: "../../etc/passwd" })],
		["2: a NUL in a name", change({ name: "a\u0000b" })],
		["3: a very long name", change({ name: big })],
		["4: a name that turns the text around", change({ name: "web\u202e1" })],
		["4: a zero-width character", change({ name: "we\u200bb" })],
		["4: a look-alike letter", change({ name: "w\u0435b" })],
		["5: an option for a name", change({ name: "-drive" })],
		["6: QEMU's comma", change({ name: "x,file=/etc/shadow" })],
		["7: a shell's dollar", change({ name: "$" + "{IFS}" })],
		["7: backticks", change({ name: "`id`" })],
		["8: negative memory", change({ memoryBytes: -1 })],
		["8: no memory", change({ memoryBytes: 0 })],
		["8: 2^53 of memory", change({ memoryBytes: 2 ** 53 })],
		["8: 1e309", JSON.stringify(wish).replace(`"memoryBytes":${wish.memoryBytes}`, '"memoryBytes":1e309')],
		["8: a text for memory", change({ memoryBytes: "8G" })],
		["8: NaN", change({ memoryBytes: Number.NaN })],
		["9: no vCPU", change({ vcpus: 0 })],
		["9: 100000 vCPUs", change({ vcpus: 100_000 })],
		["10: 7 EiB of disk", change({ volumes: [{ pool: "local", sizeBytes: 7 * 2 ** 60 }] })],
		["10: 513 bytes of disk", change({ volumes: [{ pool: "local", sizeBytes: 513 }] })],
		["11: __proto__", `{"__proto__":{"role":"admin"},${JSON.stringify(wish).slice(1)}`],
		["11: constructor", `{"constructor":{},${JSON.stringify(wish).slice(1)}`],
		["12: nested 10000 deep", `${"[".repeat(10_000)}${"]".repeat(10_000)}`],
		["13: 50 MB", JSON.stringify({ ...wish, name: "x".repeat(50_000_000) })],
		["14: a key twice", `{"name":"a","name":"b",${JSON.stringify({ ...wish, name: undefined }).slice(1)}`],
		["15: a field too many", change({ root: true })],
		["15: an unknown way to boot", change({ boot: { from: "network" } })],
		["16: an address of one's own", change({ nics: [{ mac: "01:00:5e:00:00:01", network: "lan" }] })],
		["17: a network that is none", change({ networks: ["1;up"] })],
		["17: a VLAN for a network", change({ networks: [4095] })],
		["no JSON at all", "{"],
		["a pool that climbs", change({ volumes: [{ pool: "..", sizeBytes: MiB }] })],
		["an image that climbs", change({ volumes: [{ pool: "local", sizeBytes: MiB, fromImage: "../x" }] })],
		["a kernel command line with a line break", change({ boot: { from: "kernel", kernel: "k", commandLine: "a\nb" } })],
	])("%s", async (_, body) => {
		agent.commands.length = 0;
		expect(await post("guests.create", body).catch(() => "invalid")).toBe("invalid");
		expect(agent.commands).toEqual([]);
		expect((await api.guests.list.query({})).total).toBe(0);
	});

	test.each<[string, object, string]>([
		["more memory than any host has", { memoryBytes: 512 * GiB }, "no_capacity"],
		["a pool that no host has", { volumes: [{ pool: "nowhere", sizeBytes: MiB }] }, "incompatible"],
		["a network that no host has", { networks: ["nowhere"] }, "incompatible"],
		["a host that does not exist", { hostId: crypto.randomUUID() }, "not_found"],
	])("%s", async (_, part, code) => {
		expect(await post("guests.create", JSON.stringify({ ...wish, ...part }))).toBe(code);
		expect((await api.guests.list.query({})).total).toBe(0);
	});
});

describe("ids of things that do not exist, or are something else, are not found in every procedure (item 19)", () => {
	const id = "11111111-1111-4111-8111-111111111111";
	test.each<[string, object]>([
		["hosts.get", { hostId: id }],
		["hosts.metrics", { hostId: id, since: 0 }],
		["hosts.planMaintenance", { hostId: id }],
		["hosts.setMaintenance", { hostId: id }],
		["hosts.leaveMaintenance", { hostId: id }],
		["hosts.releaseFinding", { hostId: id, findingId: id, reason: "x" }],
		["hosts.revoke", { hostId: id }],
		["guests.get", { guestId: id }],
		["guests.metrics", { guestId: id, since: 0 }],
		["guests.start", { guestId: id }],
		["guests.shutDown", { guestId: id }],
		["guests.powerOff", { guestId: id }],
		["guests.pause", { guestId: id }],
		["guests.resume", { guestId: id }],
		["guests.delete", { guestId: id }],
		["guests.planMigration", { guestId: id }],
		["guests.migrate", { guestId: id }],
		["guests.openSerial", { guestId: id }],
		["migrations.get", { migrationId: id }],
		["migrations.cancel", { migrationId: id }],
		["evacuations.get", { evacuationId: id }],
		["evacuations.cancel", { evacuationId: id }],
		["events.get", { sequence: 999_999 }],
	])("%s", async (path, input) => {
		const isQuery = /get|metrics|plan/.test(path.split(".")[1] ?? "");
		const asked = async (body: object) => {
			if (!isQuery) return post(path, JSON.stringify(body));
			const response = await browser.fetch(`/api/trpc/${path}?input=${encodeURIComponent(JSON.stringify(body))}`);
			return JSON.parse(await response.text()).error?.data.sterna.code;
		};
		expect(await asked(input)).toBe("not_found");
		const [key = ""] = Object.keys(input);
		if (key === "sequence") return;
		// A host's id is no guest's, and a guest's is no migration's.
		if (key !== "hostId") expect(await asked({ ...input, [key]: agent.identity.hostId })).toBe("not_found");
		expect(await asked({ ...input, [key]: "../../etc" })).toBe("invalid");
	});

	test("a bulk action has its own answer for each", async () => {
		const { results } = await api.guests.bulk.mutate({ action: "start", guestIds: [id] });
		expect(results).toEqual([{ guestId: id, name: null, ok: false, message: `there is no guest ${id}`, cure: null }]);
	});
});

describe("requests of other sites (items 59, 60)", () => {
	const create = () => JSON.stringify(wish);
	test.each<[string, Record<string, string>]>([
		["null", { origin: "null" }],
		["another site", { origin: "http://evil.example" }],
		["a look-alike", { origin: "http://localhost.evil.example" }],
		["our origin, but sent by another site", { "sec-fetch-site": "cross-site" }],
	])("a mutation from %s", async (_, headers) => {
		expect(await post("guests.create", create(), headers)).toBe("forbidden");
	});

	test("a mutation without an Origin", async () => {
		const response = await fetch(`${console.url}/api/trpc/guests.create`, {
			method: "POST",
			body: create(),
			headers: { "content-type": "application/json", cookie: browser.cookie },
		});
		expect(response.status).toBe(403);
	});

	test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"])(
		"a mutation as %s",
		async (type) => {
			expect(await post("guests.create", create(), { "content-type": type })).toBe("invalid");
		},
	);

	test("a mutation by GET, and a method that is none", async () => {
		const input = encodeURIComponent(create());
		expect((await browser.fetch(`/api/trpc/guests.create?input=${input}`)).status).toBe(405);
		expect((await browser.fetch("/api/trpc/guests.create", { method: "DELETE" })).status).toBe(400);
	});

	test("a batch of a thousand", async () => {
		const many = Array.from({ length: 1000 }, (_, at) => (at % 2 ? "hosts.list" : "guests.delete")).join(",");
		expect(await post(`${many}?batch=1`, "{}")).toBe("invalid");
		const few = Array.from({ length: 20 }, () => "session.me").join(",");
		expect((await browser.fetch(`/api/trpc/${few}?batch=1&input=%7B%7D`)).status).toBe(200);
	});

	test("x-middleware-subrequest opens nothing", async () => {
		const headers = { "x-middleware-subrequest": "middleware:middleware:middleware:middleware:middleware" };
		expect((await fetch(`${console.url}/api/trpc/hosts.list`, { headers })).status).toBe(401);
	});

	test("none of it made a guest", async () => {
		expect((await api.guests.list.query({})).total).toBe(0);
	});
});

/** What an upgrade is answered with: `open`, or the status of the refusal. */
function upgrade(path: string, headers: Record<string, string>): Promise<string> {
	return new Promise((resolve) => {
		const socket = new WebSocket(`ws://localhost:${console.webPort}${path}`, { headers });
		socket.once("open", () => {
			socket.terminate();
			resolve("open");
		});
		socket.once("unexpected-response", (_request, response) => resolve(String(response.statusCode)));
		socket.once("error", () => {});
	});
}

describe("live connections (items 57, 58)", () => {
	test.each(["/trpc-ws", "/serial"])(
		"%s opens for our pages and somebody who is signed in, for nobody else",
		async (path) => {
			const { cookie } = browser;
			const origin = console.url;
			expect(await upgrade(path, { cookie, origin })).toBe("open");
			expect(await upgrade(path, { cookie })).toBe("403");
			expect(await upgrade(path, { origin })).toBe("401");
			for (const other of [
				"null",
				"http://evil.example",
				"http://localhost.evil.example",
				`http://localhost:${console.webPort + 1}`,
			]) {
				expect(await upgrade(path, { cookie, origin: other })).toBe("403");
			}
		},
	);

	test("any other path is refused", async () => {
		expect(await upgrade("/agent", { cookie: browser.cookie, origin: console.url })).toBe("404");
	});

	test.each(["http://169.254.169.254/latest", "//169.254.169.254/latest"])(
		"an upgrade whose target is %s",
		async (target) => {
			const answer = await new Promise<string>((resolve, reject) => {
				const socket = connect(console.webPort, "127.0.0.1", () => {
					socket.write(
						`GET ${target} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${console.url}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
					);
				});
				socket.once("data", (data) => {
					socket.destroy();
					resolve(data.toString());
				});
				socket.once("error", reject);
			});
			expect(answer).toMatch(/^HTTP\/1\.1 400 /);
		},
	);

	test("a mutation over the WebSocket is refused, a subscription tells what changed", async () => {
		const socket = new WebSocket(`ws://localhost:${console.webPort}/trpc-ws`, {
			headers: { cookie: browser.cookie, origin: console.url },
		});
		const frames: string[] = [];
		socket.on("message", (data) => frames.push(data.toString()));
		await new Promise((resolve) => socket.once("open", resolve));
		const params = { path: "hosts.revoke", input: { hostId: agent.identity.hostId } };
		socket.send(JSON.stringify({ id: 1, method: "mutation", params }));
		await until("the refusal", async () => frames.some((frame) => frame.includes("subscriptions only")));
		const topics = { path: "changes", input: { topics: ["hosts"] } };
		socket.send(JSON.stringify({ id: 2, method: "subscription", params: topics }));
		await until("the start", async () => frames.some((frame) => frame.includes('"started"')));
		agent.tell({ type: "host.changed", facts: { ...agent.facts(), kernel: "6.2" } });
		await until("the news", async () => frames.some((frame) => frame.includes('"topic":"hosts"')));
		socket.terminate();
	});
});

describe("serial tickets (item 61)", () => {
	/** The close code that a first frame leads to; 0 when the console stays open. */
	async function redeem(ticket: string, by = browser): Promise<number> {
		const socket = new WebSocket(`ws://localhost:${console.webPort}/serial`, {
			headers: { cookie: by.cookie, origin: console.url },
		});
		const closed = new Promise<number>((resolve) => socket.once("close", resolve));
		const spoken = new Promise<number>((resolve) => socket.once("message", () => resolve(0)));
		await new Promise((resolve) => socket.once("open", resolve));
		socket.send(ticket);
		const outcome = await Promise.race([closed, spoken]);
		socket.terminate();
		return outcome;
	}

	test("open once, for their holder, in their session", async () => {
		const { guestId } = await api.guests.create.mutate({ ...wish, name: "serial-1", boot: { from: "disk" } });
		agent.print(guestId, "hello");
		const { ticket } = await api.guests.openSerial.mutate({ guestId });
		expect(await redeem(ticket)).toBe(0);
		expect(await redeem(ticket)).toBe(4403);
		expect(await redeem("made-up")).toBe(4403);
		const other = new Browser(console);
		await other.api.session.signIn.mutate({ account: "ann", password: admin.password });
		const forMe = await api.guests.openSerial.mutate({ guestId });
		expect(await redeem(forMe.ticket, other)).toBe(4403);
		expect(await redeem(forMe.ticket)).toBe(4403);
		await api.guests.delete.mutate({ guestId });
	});
});

test("what a guest or disk says is text, never markup: pages get it as JSON under a strict policy (item 62)", async () => {
	const response = await browser.fetch("/api/trpc/hosts.list");
	expect(response.headers.get("content-type")).toContain("application/json");
	expect(response.headers.get("x-content-type-options")).toBe("nosniff");
	const policy = response.headers.get("content-security-policy") ?? "";
	expect(policy).toContain("frame-ancestors 'none'");
	expect(policy).toMatch(/script-src 'self' 'nonce-[A-Za-z0-9+/=]{24}' 'strict-dynamic';/);
});

test("the API on the local socket needs no sign-in; the folder keeps everybody else out", async () => {
	const { request } = await import("node:http");
	const { statSync } = await import("node:fs");
	const path = `${console.dir}/api.sock`;
	expect(statSync(path).mode & 0o777).toBe(0o600);
	const answer = await new Promise<string>((resolve, reject) => {
		request({ socketPath: path, path: "/api/trpc/session.me" }, (response) => {
			let text = "";
			response.on("data", (chunk) => (text += chunk));
			response.on("end", () => resolve(text));
		})
			.on("error", reject)
			.end();
	});
	expect(JSON.parse(answer).result.data).toMatchObject({ name: "local admin", role: "admin" });
});
