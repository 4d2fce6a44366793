import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { freeze, isAlive, isLineOpened, thaw } from "./guest-agent.ts";
import { guestPaths } from "./paths.ts";
import { GuestRecord } from "./record.ts";

type Reply = (socket: Socket, command: string, id: number) => void;

let guest: Parameters<typeof isAlive>[0];
/** What the agent heard, in order. */
let heard: string[];
let frozen: boolean;

beforeEach(async () => {
	const folder = await mkdtemp(join(tmpdir(), "ga-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	const id = newId(GuestId);
	const spec = GuestSpec.parse({
		...{ id, name: "web-1", vcpus: 1, memoryBytes: 64 * MiB, volumes: [], nics: [] },
		boot: { from: "kernel", kernel: "vmlinuz", commandLine: "" },
	});
	const fixed = { machine: "pc-q35-10.0", accelerator: "tcg", uid: null, volumes: [], taps: [] };
	const record = GuestRecord.parse({ spec, ...fixed, incoming: false, ending: null });
	guest = { record, paths: { ...guestPaths(folder, id), agent: join(folder, "agent") } };
	heard = [];
	frozen = false;
});

/** An agent that does what its manual says, but for the commands that `instead` has. */
async function agent(instead: Record<string, Reply> = {}): Promise<void> {
	const open = new Set<Socket>();
	const server = createServer((socket) => {
		open.add(socket);
		let text = "";
		socket.on("error", () => undefined);
		socket.setEncoding("latin1").on("data", (chunk: string) => {
			text += chunk;
			for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
				const line = text.slice(text.lastIndexOf("\xff", end) + 1, end);
				text = text.slice(end + 1);
				const { execute, arguments: given } = JSON.parse(line);
				heard.push(execute);
				const reply = instead[execute];
				if (reply) reply(socket, execute, given?.id);
				else answer(socket, execute, given?.id);
			}
		});
	});
	onTestFinished(() => {
		for (const socket of open) socket.destroy();
		server.close();
	});
	await new Promise<void>((fulfil) => server.listen(guest.paths.agent, fulfil));
}

function answer(socket: Socket, command: string, id: number): void {
	const say = (value: unknown) => socket.write(`${JSON.stringify({ return: value })}\n`);
	if (command === "guest-sync-delimited") {
		socket.write(Buffer.of(0xff));
		say(id);
	} else if (command === "guest-fsfreeze-freeze") {
		frozen = true;
		say(1);
	} else if (command === "guest-fsfreeze-thaw") {
		frozen = false;
		say(1);
	} else if (command === "guest-fsfreeze-status") say(frozen ? "frozen" : "thawed");
	else say({});
}

test("an agent that answers is alive, and one after the other is asked", async () => {
	await agent();
	expect(await Promise.all([isAlive(guest, 20_000), isAlive(guest, 20_000)])).toEqual([true, true]);
	expect(heard).toEqual(["guest-sync-delimited", "guest-ping", "guest-sync-delimited", "guest-ping"]);
});

test.each<[string, boolean, Parameters<typeof isLineOpened>[0]]>([
	["a program in the guest has opened it", true, [{ label: "agent", "frontend-open": true }]],
	["nobody in the guest has opened it", false, [{ label: "agent", "frontend-open": false }]],
	["only another line is told of", true, [{ label: "serial0", "frontend-open": false }]],
])("whether the line to the agent is worth waiting at, when %s: %s", (_, isOpened, chardevs) => {
	expect(isLineOpened(chardevs)).toBe(isOpened);
});

test("file systems are frozen and thawed, and thawing what is not frozen changes nothing", async () => {
	await agent();
	await freeze(guest);
	expect(frozen).toBe(true);
	await thaw(guest);
	expect(frozen).toBe(false);
	await thaw(guest);
});

test("what the agent still had to say to somebody else is not taken for an answer", async () => {
	await agent({
		"guest-sync-delimited": (socket, command, id) => {
			socket.write(Buffer.concat([Buffer.from('{"return":{}}\n'), Buffer.of(0xff), Buffer.from('{"return":1}\nrubb')]));
			answer(socket, command, id);
		},
		"guest-fsfreeze-freeze": (socket) => socket.write('{"error":{"class":"GenericError","desc":"busy"}}\n'),
	});
	expect(await isAlive(guest, 20_000)).toBe(true);
	await expect(freeze(guest)).rejects.toThrow("busy");
});

test("no agent, a silent one and one that ends the line are not alive, by their deadline", async () => {
	expect(await isAlive(guest, 300)).toBe(false);
	await agent({ "guest-sync-delimited": () => undefined, "guest-ping": (socket) => socket.destroy() });
	expect(await isAlive(guest, 300)).toBe(false);
});

test.each<[string, string, Reply]>([
	["a hundred megabytes", "invalid", (socket) => void flood(socket)],
	["a page of HTML", "invalid", (socket) => socket.write("<!DOCTYPE html><title>hello</title>\n")],
	["an answer with a key that reaches elsewhere", "invalid", (socket) => socket.write('{"__proto__":{"return":1}}\n')],
	["a refusal", "wrong_state", (socket) => socket.write('{"error":{"class":"GenericError","desc":"no\\u001b[2J"}}\n')],
	["the end of the line", "unavailable", (socket) => socket.destroy()],
])(
	"a freeze that is answered with %s is an error of its kind, and thawing works after it",
	async (_what, code, reply) => {
		await agent({ "guest-fsfreeze-freeze": reply });
		const error: unknown = await freeze(guest).catch((thrown: unknown) => thrown);
		expect(error).toMatchObject({ code });
		expect(String(error)).not.toContain("\u001b");
		await thaw(guest);
	},
);

test("a thaw that fails is tried again until the agent says that nothing is frozen", async () => {
	let fails = 2;
	await agent({
		"guest-fsfreeze-thaw": (socket, command) => {
			if (fails-- > 0) socket.write('{"error":{"class":"GenericError","desc":"not yet"}}\n');
			else answer(socket, command, 0);
		},
	});
	await freeze(guest);
	await thaw(guest);
	expect(frozen).toBe(false);
});

test("an agent that dies while the file systems are frozen is told as such, with what can be done", async () => {
	await agent({ "guest-fsfreeze-thaw": (socket) => socket.destroy() });
	await freeze(guest);
	const told = expect.objectContaining({ code: "unavailable", cure: expect.stringContaining("restart") });
	await expect(thaw(guest)).rejects.toEqual(told);
	expect(heard.filter((command) => command === "guest-fsfreeze-thaw")).toHaveLength(5);
});

/** As fast as it is taken, until the other side has enough. */
async function flood(socket: Socket): Promise<void> {
	const chunk = Buffer.alloc(1024 * 1024, "x");
	for (let sent = 0; sent < 100 && !socket.destroyed; sent++) {
		await new Promise<void>((fulfil) => socket.write(chunk, () => fulfil()));
	}
}
