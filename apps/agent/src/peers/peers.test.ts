import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import type { PeerAddress } from "@sterna/shared/protocol/commands";
import type { Caller, Handlers } from "@sterna/shared/protocol/rpc";
import { expect, onTestFinished, test } from "vitest";
import { guestSpec, joinedServer, silent, testConsole, testFolder } from "../fixtures/test-agent.ts";
import type { TestConsole } from "../fixtures/test-console.ts";
import { PeerClient } from "./client.ts";
import { Revocations } from "./revocations.ts";
import { listenForPeers } from "./server.ts";

async function runningAgent() {
	const console = await testConsole();
	const server = await joinedServer(console);
	const agent = await server.start();
	const { endpoint } = await console.connection();
	const address: PeerAddress = { hostId: agent.hostId, name: "server-1", address: "127.0.0.1", port: agent.peerPort };
	return { console, server, agent, endpoint, address };
}

async function peerOf(console: TestConsole) {
	const { hostId, ...credentials } = await console.host();
	const revocations = await Revocations.open(await testFolder());
	const client = new PeerClient({ credentials: () => credentials, revocations });
	onTestFinished(() => client.close());
	return { hostId, client, revocations, credentials };
}

test("a peer of the same console is answered, and its calls share one connection", async () => {
	const { console, agent, address } = await runningAgent();
	const { client } = await peerOf(console);
	const answers = await Promise.all([1, 2, 3].map(() => client.call(address, "host.describe", {})));
	expect(answers.map(({ hostId }) => hostId)).toEqual([agent.hostId, agent.hostId, agent.hostId]);
});

test("a peer may not command guests, and nothing happens", async () => {
	const { console, endpoint, address } = await runningAgent();
	const { client } = await peerOf(console);
	const spec = guestSpec();
	await expect(client.call(address, "guest.create", { spec, epoch: 1 })).rejects.toMatchObject({ code: "forbidden" });
	await expect(client.call(address, "host.setRevocations", { hostIds: [] })).rejects.toMatchObject({
		code: "forbidden",
	});
	expect((await endpoint.call("host.snapshot", {})).guests).toEqual([]);
});

test("another host at the expected address is not spoken to", async () => {
	const { console, address } = await runningAgent();
	const { client } = await peerOf(console);
	const expected = { ...address, hostId: newId(HostId), name: "server-2" };
	await expect(client.call(expected, "host.describe", {})).rejects.toMatchObject({
		code: "forbidden",
		message: "another host answers at the address of server-2",
	});
});

test("a host of another console is refused on both sides", async () => {
	const { address } = await runningAgent();
	const stranger = await peerOf(await testConsole());
	await expect(stranger.client.call(address, "host.describe", {})).rejects.toMatchObject({ code: "host_offline" });
});

test("a revoked host is dropped at once, stays refused after a restart, and is not called either", async () => {
	const { console, server, agent, endpoint, address } = await runningAgent();
	const peer = await peerOf(console);
	await peer.client.call(address, "host.describe", {});
	await endpoint.call("host.setRevocations", { hostIds: [peer.hostId] });
	await expect(peer.client.call(address, "host.describe", {})).rejects.toMatchObject({
		code: expect.stringMatching(/^(host_offline|unavailable)$/),
	});
	await agent.close();
	const again = await server.start();
	await expect(peer.client.call({ ...address, port: again.peerPort }, "host.describe", {})).rejects.toMatchObject({
		code: expect.stringMatching(/^(host_offline|unavailable)$/),
	});
	await peer.revocations.set([agent.hostId]);
	await expect(peer.client.call(address, "host.describe", {})).rejects.toMatchObject({
		code: "forbidden",
		message: "host server-1 is revoked",
	});
});

test("a host that is not there is offline, with its name and address", async () => {
	const { console, agent, address } = await runningAgent();
	const { client } = await peerOf(console);
	await client.call(address, "host.describe", {});
	await agent.close();
	await expect(client.call(address, "host.describe", {})).rejects.toMatchObject({
		code: expect.stringMatching(/^(host_offline|unavailable)$/),
	});
	await expect(client.call(address, "host.describe", {})).rejects.toMatchObject({
		code: "host_offline",
		message: expect.stringContaining(`server-1 cannot be reached at 127.0.0.1:${address.port}`),
	});
});

test("after a call that ran into its deadline the next call dials anew, so that a dead line is found out", async () => {
	const console = await testConsole();
	const { client, revocations } = await peerOf(console);
	const { hostId, ...credentials } = await console.host();
	const callers = new Set<Caller>();
	const answer = (caller: Caller) => {
		callers.add(caller);
		throw new SternaError("wrong_state", "not today");
	};
	const handlers = {
		"host.describe": async (_input: unknown, caller: Caller) => answer(caller),
		"incoming.renew": () => new Promise(() => {}),
	} as unknown as Handlers;
	const server = await listenForPeers({
		address: "127.0.0.1",
		port: 0,
		credentials,
		handlers: Promise.resolve(handlers),
		revocations,
		log: silent,
	});
	onTestFinished(() => server.close());
	const peer = { hostId, name: "server-2", address: "127.0.0.1", port: server.port };
	const move = { migrationId: newId(MigrationId), guestId: newId(GuestId) };
	const refused = { code: "wrong_state" };
	await expect(client.call(peer, "host.describe", {})).rejects.toMatchObject(refused);
	await expect(client.call(peer, "host.describe", {})).rejects.toMatchObject(refused);
	expect(callers.size).toBe(1);
	await expect(client.call(peer, "incoming.renew", move, { timeoutMs: 50 })).rejects.toMatchObject({ code: "timeout" });
	await expect(client.call(peer, "host.describe", {})).rejects.toMatchObject(refused);
	expect(callers.size).toBe(2);
});

test("who has no certificate, or speaks no TLS, gets nothing", async () => {
	const { console, address } = await runningAgent();
	const heard = await Promise.all([
		collect(
			connectTls({
				host: "127.0.0.1",
				port: address.port,
				ca: console.authorityPem,
				checkServerIdentity: () => undefined,
			}),
		),
		collect(connectTcp(address.port, "127.0.0.1")),
	]);
	expect(heard).toEqual(["", expect.not.stringContaining("hello")]);

	function collect(socket: ReturnType<typeof connectTcp>): Promise<string> {
		let text = "";
		socket.on("data", (chunk: Buffer) => {
			text += chunk.toString("latin1");
		});
		socket.on("error", () => {});
		socket.write(`${JSON.stringify({ type: "hello", versions: [1], program: "x" })}\n`);
		return new Promise((resolve) => socket.once("close", () => resolve(text)));
	}
});

test("1,000 frames of garbage from a peer end its connection and harm nobody", async () => {
	const { console, agent, address } = await runningAgent();
	const { credentials, client } = await peerOf(console);
	const socket = connectTls({
		host: "127.0.0.1",
		port: address.port,
		...credentials,
		checkServerIdentity: () => undefined,
	});
	socket.on("error", () => {});
	const closed = new Promise((resolve) => socket.once("close", resolve));
	for (let index = 0; index < 1000; index++) {
		const length = (index * 7919) % 300;
		socket.write(Buffer.from(Array.from({ length }, (_, at) => (index * 31 + at * 17) % 256)));
		socket.write("\n");
	}
	socket.resume();
	await closed;
	await expect(client.call(address, "host.describe", {})).resolves.toMatchObject({ hostId: agent.hostId });
});

test("a peer that sends a frame without end is cut off before it fills the memory", async () => {
	const { console, agent, address } = await runningAgent();
	const { credentials, client } = await peerOf(console);
	const socket = connectTls({
		host: "127.0.0.1",
		port: address.port,
		...credentials,
		checkServerIdentity: () => undefined,
	});
	socket.on("error", () => {});
	socket.resume();
	let sentBytes = 0;
	const closed = new Promise((resolve) => socket.once("close", resolve));
	const chunk = Buffer.alloc(256 * 1024, "[");
	const pour = () => {
		while (!socket.destroyed && sentBytes < 200 * 1024 * 1024) {
			sentBytes += chunk.length;
			if (!socket.write(chunk)) {
				socket.once("drain", pour);
				return;
			}
		}
	};
	pour();
	await closed;
	expect(sentBytes).toBeLessThan(64 * 1024 * 1024);
	await expect(client.call(address, "host.describe", {})).resolves.toMatchObject({ hostId: agent.hostId });
});
