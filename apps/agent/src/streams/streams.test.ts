import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { HostId, newId, VolumeId } from "@sterna/shared/ids";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TestConsole } from "../fixtures/test-console.ts";
import { frameHeader } from "./frame.ts";
import type { StreamIdentity, StreamTimes } from "./messages.ts";
import { openSourceTransfer, openTargetTransfer, type SourceTransfer, type TargetTransfer } from "./streams.ts";

const portRange = { from: 21_000, to: 21_400 };
const volumeId = newId(VolumeId);
const [sourceId, targetId, strangerId] = [newId(HostId), newId(HostId), newId(HostId)];
const times: StreamTimes = { heartbeatMs: 100, silenceLimitMs: 600, ticketLifetimeMs: 20_000 };

let folder: string;
let identities: { source: StreamIdentity; target: StreamIdentity; stranger: StreamIdentity; impostor: StreamIdentity };
const undo: (() => unknown)[] = [];

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "sterna-streams-"));
	const [ours, foreign] = [await TestConsole.start(), await TestConsole.start()];
	const identityOf = async (console: TestConsole, hostId: HostId): Promise<StreamIdentity> => {
		const { key, cert, ca } = await console.host(hostId);
		return { key, certificate: cert, authority: ca };
	};
	identities = {
		source: await identityOf(ours, sourceId),
		target: await identityOf(ours, targetId),
		stranger: await identityOf(ours, strangerId),
		// The right host id, but another console's signature.
		impostor: await identityOf(foreign, sourceId),
	};
	await Promise.all([ours.close(), foreign.close()]);
});
afterEach(async () => {
	for (const step of undo.splice(0).reverse()) await step();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Stands in for QEMU on the receiving side: a unix server that says who came. */
async function fakeQemu(name: string): Promise<{ path: string; connections: Socket[]; next(): Promise<Socket> }> {
	const path = join(folder, `${name}-${randomBytes(4).toString("hex")}.sock`);
	const connections: Socket[] = [];
	const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
		socket.on("error", () => {});
		connections.push(socket);
		server.emit("arrived", socket);
	});
	await new Promise<void>((resolve) => server.listen(path, resolve));
	undo.push(() => {
		for (const socket of connections) socket.destroy();
		server.close();
	});
	return {
		path,
		connections,
		next: () =>
			new Promise((resolve) => {
				const first = connections[0];
				if (first) resolve(first);
				else server.once("arrived", resolve);
			}),
	};
}

async function openTarget(options: { times?: StreamTimes } = {}) {
	const [memory, disk] = [await fakeQemu("memory"), await fakeQemu("disk")];
	const refused = Promise.withResolvers<string>();
	const target = await openTargetTransfer({
		identity: identities.target,
		peerHostId: sourceId,
		listenAddress: "127.0.0.1",
		portRange,
		memorySocket: memory.path,
		diskSocket: disk.path,
		copiedVolumes: [volumeId],
		onRefused: (reason) => refused.resolve(reason),
		times: options.times ?? times,
	});
	undo.push(() => target.destroy());
	return { target, memory, disk, refused: refused.promise };
}

async function openSource(target: TargetTransfer, port = target.port, place = folder): Promise<SourceTransfer> {
	const source = await openSourceTransfer({
		identity: identities.source,
		peerHostId: targetId,
		address: "127.0.0.1",
		port,
		memoryTicket: target.memoryTicket,
		diskTickets: [{ volumeId, ticket: target.diskTickets[volumeId] ?? "" }],
		folder: join(place, randomBytes(4).toString("hex")),
		socketOwner: null,
		times,
	});
	undo.push(() => source.destroy());
	return source;
}

function qemuConnects(path: string): Socket {
	const socket = connect({ path, allowHalfOpen: true });
	socket.on("error", () => {});
	undo.push(() => socket.destroy());
	return socket;
}

function closed(socket: Socket): Promise<void> {
	return new Promise((resolve) => {
		if (socket.closed) resolve();
		socket.once("close", () => resolve());
		socket.once("end", () => socket.destroy());
		socket.resume();
	});
}

async function hashOf(socket: Socket): Promise<{ bytes: number; sha256: string }> {
	const hash = createHash("sha256");
	let bytes = 0;
	for await (const chunk of socket) {
		hash.update(chunk);
		bytes += chunk.length;
	}
	return { bytes, sha256: hash.digest("hex") };
}

/** A connection past the TLS handshake, without a ticket yet. */
function dialRaw(port: number, identity: StreamIdentity): Promise<TLSSocket> {
	return new Promise((resolve, reject) => {
		const tls = connectTls({
			host: "127.0.0.1",
			port,
			key: identity.key,
			cert: identity.certificate,
			ca: identity.authority,
			checkServerIdentity: () => undefined,
			rejectUnauthorized: false,
		});
		tls.once("secureConnect", () => {
			tls.on("error", () => {});
			resolve(tls);
		});
		tls.once("error", reject);
		undo.push(() => tls.destroy());
	});
}

function sendTicket(tls: TLSSocket, ticket: string): void {
	const bytes = Buffer.from(ticket, "base64url");
	tls.write(Buffer.concat([frameHeader("ticket", bytes.length), bytes]));
}

function refusesConnections(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = connect(port, "127.0.0.1");
		probe.once("connect", () => {
			probe.destroy();
			resolve(false);
		});
		probe.once("error", () => resolve(true));
	});
}

test("100 MiB of memory and the disk's bytes arrive identical in both directions, and the transfer ends cleanly", async () => {
	const { target, memory, disk } = await openTarget();
	const source = await openSource(target);
	const [sendMemory, sendDisk] = [qemuConnects(source.memorySocket), qemuConnects(source.disks[0]?.socket ?? "")];
	const content = randomBytes(100 * 1024 * 1024);
	const answer = randomBytes(3 * 1024 * 1024);

	sendMemory.end(content);
	sendDisk.end(answer);
	const [memoryArrived, diskArrived] = await Promise.all([memory.next().then(hashOf), disk.next().then(hashOf)]);
	memory.connections[0]?.end(answer);
	disk.connections[0]?.end();
	const answered = await hashOf(sendMemory);
	await hashOf(sendDisk);

	const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");
	expect(memoryArrived).toEqual({ bytes: content.length, sha256: sha256(content) });
	expect(diskArrived).toEqual({ bytes: answer.length, sha256: sha256(answer) });
	expect(answered).toEqual({ bytes: answer.length, sha256: sha256(answer) });
	expect(await Promise.all([source.ended, target.ended])).toEqual([null, null]);
	expect(source.bytes().memory).toEqual({ sentBytes: content.length, receivedBytes: answer.length });
	expect(target.bytes().memory).toEqual({ sentBytes: answer.length, receivedBytes: content.length });
	expect(existsSync(source.memorySocket)).toBe(false);
});

test("a slow reader holds the sender back instead of filling the agents' memory", async () => {
	const { target, memory } = await openTarget();
	const source = await openSource(target);
	const sender = qemuConnects(source.memorySocket);
	const piece = randomBytes(64 * 1024);
	let accepted = 0;
	const stalled = new Promise<void>((resolve) => {
		const push = () => {
			while (sender.write(piece)) accepted += piece.length;
			accepted += piece.length;
			// Longer than the silence limit: waiting for a slow QEMU is not silence.
			const timer = setTimeout(resolve, 3 * times.silenceLimitMs);
			sender.once("drain", () => {
				clearTimeout(timer);
				push();
			});
		};
		push();
	});
	const receiver = await memory.next();
	receiver.pause();
	await stalled;
	expect(accepted).toBeLessThan(32 * 1024 * 1024);
	sender.end();
	expect((await hashOf(receiver)).bytes).toBe(accepted);
}, 30_000);

test("only its owner may reach the sockets on the sending side", async () => {
	const { target } = await openTarget();
	const source = await openSource(target);
	expect((await stat(join(source.memorySocket, ".."))).mode & 0o777).toBe(0o700);
	expect((await stat(source.memorySocket)).mode & 0o777).toBe(0o600);
});

test("the port is closed once every ticket is used, while the streams go on", async () => {
	const { target, memory } = await openTarget();
	const source = await openSource(target);
	expect(await refusesConnections(target.port)).toBe(true);
	qemuConnects(source.memorySocket).end("still here");
	expect((await hashOf(await memory.next())).bytes).toBe(10);
});

test("the port is closed after a transfer that was destroyed", async () => {
	const { target } = await openTarget();
	expect(await refusesConnections(target.port)).toBe(false);
	await target.destroy();
	expect(await refusesConnections(target.port)).toBe(true);
	expect(await target.ended).toBeNull();
});

test("a wrong ticket is turned away and nothing reaches QEMU", async () => {
	const { target, memory, disk, refused } = await openTarget();
	const tls = await dialRaw(target.port, identities.source);
	sendTicket(tls, randomBytes(32).toString("base64url"));
	tls.write(frameHeader("open"));
	await closed(tls);
	expect(await refused).toContain("not one of this transfer");
	expect([...memory.connections, ...disk.connections]).toEqual([]);
});

test("a ticket opens its stream only once", async () => {
	const { target, memory, refused } = await openTarget();
	sendTicket(await dialRaw(target.port, identities.source), target.memoryTicket);
	const second = await dialRaw(target.port, identities.source);
	sendTicket(second, target.memoryTicket);
	second.write(frameHeader("open"));
	await closed(second);
	expect(await refused).toContain("used before");
	expect(memory.connections).toEqual([]);
});

test("a ticket that comes too late finds no port", async () => {
	const { target, memory } = await openTarget({ times: { ...times, ticketLifetimeMs: 50 } });
	const early = await dialRaw(target.port, identities.source).catch(() => null);
	await new Promise<void>((resolve) => {
		const poll = setInterval(async () => {
			if (!(await refusesConnections(target.port))) return;
			clearInterval(poll);
			resolve();
		}, 10);
	});
	if (early) {
		sendTicket(early, target.memoryTicket);
		early.write(frameHeader("open"));
		await closed(early);
	}
	await expect(dialRaw(target.port, identities.source)).rejects.toThrow(/ECONNREFUSED/);
	expect(memory.connections).toEqual([]);
});

test("another host of the same console is turned away, even with a good ticket", async () => {
	const { target, memory, refused } = await openTarget();
	const tls = await dialRaw(target.port, identities.stranger);
	sendTicket(tls, target.memoryTicket);
	tls.write(frameHeader("open"));
	await closed(tls);
	expect(await refused).toContain(strangerId);
	expect(memory.connections).toEqual([]);
});

test("a certificate of another console is turned away, even with the right host id and ticket", async () => {
	const { target, memory, refused } = await openTarget();
	const tls = await dialRaw(target.port, identities.impostor).catch(() => null);
	if (tls) {
		sendTicket(tls, target.memoryTicket);
		await closed(tls);
	}
	expect(await refused).toContain("handshake");
	expect(memory.connections).toEqual([]);
});

test("the source refuses a target that is not the host it expects", async () => {
	const { target } = await openTarget();
	const source = openSourceTransfer({
		identity: identities.source,
		peerHostId: strangerId,
		address: "127.0.0.1",
		port: target.port,
		memoryTicket: target.memoryTicket,
		diskTickets: [],
		folder: join(folder, "wrong-target"),
		socketOwner: null,
		times,
	});
	await expect(source).rejects.toMatchObject({ code: "unavailable" });
	expect(existsSync(join(folder, "wrong-target"))).toBe(false);
});

test("bytes that are no frame end the connection and touch nothing", async () => {
	const { target, memory, refused } = await openTarget();
	const tls = await dialRaw(target.port, identities.source);
	tls.write("GET / HTTP/1.1\r\n\r\n");
	await closed(tls);
	expect(await refused).toContain("unknown type");
	expect(memory.connections).toEqual([]);
});

test("a transfer that is destroyed on one side ends the unix sockets of both", async () => {
	const { target, memory } = await openTarget();
	const source = await openSource(target);
	const sender = qemuConnects(source.memorySocket);
	sender.write(randomBytes(1024 * 1024));
	const receiver = await memory.next();
	const bothClosed = Promise.all([closed(sender), closed(receiver)]);
	await source.destroy();
	await bothClosed;
	expect(await target.ended).toMatchObject({ code: "unavailable" });
});

test("a way that swallows everything silently is noticed, and both sides are cut", async () => {
	const { target, memory } = await openTarget();
	let swallow = false;
	const proxy = createServer((near) => {
		const far = connect(target.port, "127.0.0.1");
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			from.on("data", (chunk) => swallow || to.write(chunk));
			from.on("error", () => {});
		}
		undo.push(
			() => near.destroy(),
			() => far.destroy(),
		);
	});
	await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
	undo.push(() => proxy.close());
	const address = proxy.address();
	const source = await openSource(target, typeof address === "object" && address ? address.port : 0);
	const sender = qemuConnects(source.memorySocket);
	sender.write("alive");
	const receiver = await memory.next();
	swallow = true;
	await Promise.all([closed(sender), closed(receiver)]);
	expect((await source.ended)?.message).toContain("nothing was heard");
	expect((await target.ended)?.message).toMatch(/nothing was heard|closed/);
});

test("a quiet stream stays open: heartbeats are enough", async () => {
	const { target, memory } = await openTarget();
	const source = await openSource(target);
	const sender = qemuConnects(source.memorySocket);
	const receiver = await memory.next();
	const died = Promise.race([source.ended, target.ended]).then(() => "died");
	const quiet = new Promise<string>((resolve) => setTimeout(() => resolve("alive"), 3 * times.silenceLimitMs));
	expect(await Promise.race([died, quiet])).toBe("alive");
	sender.end("late word");
	expect((await hashOf(receiver)).bytes).toBe(9);
});

test("a path that no unix socket can have is refused with the reason", async () => {
	const { target } = await openTarget();
	const source = openSourceTransfer({
		identity: identities.source,
		peerHostId: targetId,
		address: "127.0.0.1",
		port: target.port,
		memoryTicket: target.memoryTicket,
		diskTickets: [],
		folder: join(folder, "x".repeat(100)),
		socketOwner: null,
		times,
	});
	await expect(source).rejects.toMatchObject({ code: "invalid" });
});

test("a transfer ends also when the folder of its sockets cannot be removed, and says so as often as it is asked", async () => {
	const { target } = await openTarget();
	const place = join(folder, "replaced");
	const source = await openSource(target, target.port, place);
	// No folder any more: whatever is looked for below it is an error, not merely absent.
	await rm(place, { recursive: true });
	await writeFile(place, "");
	await source.destroy();
	await source.destroy();
	expect(await source.ended).toBeNull();
});
