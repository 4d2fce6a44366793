import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectNbd } from "./client.ts";
import { type Listening, take } from "./intake.ts";
import type { NbdClient, NbdExtent } from "./nbd.ts";
import { serveNbd } from "./server.ts";
import { Peers } from "./testing/peers.ts";
import {
	chunk,
	decodeRequest,
	encodeChunk,
	encodeOptionReply,
	option,
	optionHeaderBytes,
	optionMagic,
	optionReply,
	type Request,
	requestBytes,
	serverMagic,
	uint16,
	uint32,
	uint64,
} from "./wire.ts";

const mebibyte = 1024 * 1024;
let peers: Peers;
const clients: NbdClient[] = [];

beforeEach(async () => {
	peers = await Peers.make();
});
afterEach(async () => {
	for (const client of clients.splice(0)) await client.close();
	await peers.close();
});

async function join(contexts: string[] = []): Promise<NbdClient> {
	const client = await connectNbd({ socketPath: peers.socketPath, exportName: "disk", contexts });
	clients.push(client);
	return client;
}

/** Byte `offset` of the disk that these tests serve. */
function content(offset: number, lengthBytes: number): Buffer {
	return Buffer.from(Uint8Array.from({ length: lengthBytes }, (_, index) => (offset + index) % 251));
}

describe("against our own server", () => {
	const serve = (read: (offset: number, lengthBytes: number) => Promise<Uint8Array>) =>
		serveNbd({ socketPath: peers.socketPath, exports: [{ name: "disk", sizeBytes: 3 * mebibyte + 5, read }] });

	test("every part is read as it is, at any offset and length", async () => {
		const server = await serve(async (offset, lengthBytes) => content(offset, lengthBytes));
		const client = await join();
		expect(client.sizeBytes).toBe(3 * mebibyte + 5);
		const ranges = [
			[0, 1],
			[3 * mebibyte + 4, 1],
			[511, 65_537],
			[0, 3 * mebibyte + 5],
			[5, 0],
		] as const;
		for (const [offset, lengthBytes] of ranges) {
			expect(Buffer.compare(await client.read(offset, lengthBytes), content(offset, lengthBytes))).toBe(0);
		}
		await server.close();
	});

	test("a slow read holds no quick one up, and many are under way at a time", async () => {
		const order: string[] = [];
		const gate = Promise.withResolvers<void>();
		const server = await serve(async (offset, lengthBytes) => {
			if (offset === 0) await gate.promise;
			return content(offset, lengthBytes);
		});
		const client = await join();
		const slow = client.read(0, 10).then(() => order.push("slow"));
		await Promise.all(Array.from({ length: 50 }, (_, index) => client.read(1 + index, 10)));
		order.push("quick");
		gate.resolve();
		await slow;
		expect(order).toEqual(["quick", "slow"]);
		await server.close();
	});

	test("a read that fails is `unavailable` for its reader, and others go on", async () => {
		const server = await serve(async (offset, lengthBytes) => {
			if (offset === 512) throw new Error("the repository is gone");
			return offset === 1024 ? content(offset, 1) : content(offset, lengthBytes);
		});
		const client = await join();
		await expect(client.read(512, 8)).rejects.toMatchObject({ code: "unavailable", message: /error 5/ });
		// An export that gives less than it was asked for.
		await expect(client.read(1024, 8)).rejects.toMatchObject({ code: "unavailable" });
		expect((await client.read(0, 8)).length).toBe(8);
		await server.close();
	});

	test("the end of the server ends every read that is open, and all later ones", async () => {
		const server = await serve((_offset, _lengthBytes) => new Promise(() => undefined));
		const client = await join();
		const reads = Array.from({ length: 40 }, (_, index) => client.read(index, 1));
		const ends = Promise.allSettled(reads);
		await server.close();
		expect((await ends).every((end) => end.status === "rejected" && end.reason.code === "unavailable")).toBe(true);
		await expect(client.read(0, 1)).rejects.toMatchObject({ code: "unavailable" });
	});

	test("an export or a context that is not there is `not_found`, no server is `unavailable`", async () => {
		await expect(join()).rejects.toMatchObject({ code: "unavailable" });
		const server = await serve(async (offset, lengthBytes) => content(offset, lengthBytes));
		const other = { socketPath: peers.socketPath, exportName: "other", contexts: [] };
		await expect(connectNbd(other)).rejects.toMatchObject({ code: "not_found" });
		await expect(join(["qemu:dirty-bitmap:b"])).rejects.toMatchObject({ code: "not_found" });
		await server.close();
	});

	test("a range outside of the disk, or larger than one request may be, is refused before it is asked", async () => {
		const server = await serve(async (offset, lengthBytes) => content(offset, lengthBytes));
		const client = await join();
		for (const [offset, lengthBytes] of [
			[-1, 1],
			[0, 3 * mebibyte + 6],
			[0.5, 1],
			[2 ** 60, 1],
		] as const) {
			await expect(client.read(offset, lengthBytes)).rejects.toMatchObject({ code: "invalid" });
		}
		await server.close();
	});

	test("blocks are described over more than one answer, with neighbours of a kind joined", async () => {
		const sizeBytes = 5 * 1024 ** 3;
		const data = new Set([0, 1, 40_000, 40_001, 40_960]);
		const server = await serveNbd({
			socketPath: peers.socketPath,
			exports: [
				{
					name: "disk",
					sizeBytes,
					read: async (offset, lengthBytes) => content(offset, lengthBytes),
					async *extents(offset, lengthBytes) {
						for (let at = offset; at < offset + lengthBytes; ) {
							const block = Math.floor(at / 65_536);
							const end = Math.min((block + 1) * 65_536, offset + lengthBytes);
							yield { offset: at, lengthBytes: end - at, zero: !data.has(block) };
							at = end;
						}
					},
				},
			],
		});
		const client = await join(["base:allocation"]);
		const extents: NbdExtent[] = [];
		for await (const extent of client.extents("base:allocation", 0, sizeBytes)) extents.push(extent);
		expect(extents.filter(({ flags }) => flags === 0)).toEqual([
			{ offset: 0, lengthBytes: 2 * 65_536, flags: 0 },
			{ offset: 40_000 * 65_536, lengthBytes: 2 * 65_536, flags: 0 },
			{ offset: 40_960 * 65_536, lengthBytes: 65_536, flags: 0 },
		]);
		expect(extents.map(({ flags }) => flags)).toEqual([0, 3, 0, 3, 0, 3]);
		expect(extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBe(sizeBytes);
		await server.close();
	});
});

describe("against servers that do not keep the protocol", () => {
	test.each<[string, (send: (bytes: Uint8Array) => void) => Listening]>([
		["another greeting", (send) => speak(send, Buffer.from("SSH-2.0-OpenSSH_9.2p1 Debian"))],
		["the old handshake", (send) => speak(send, Buffer.concat([uint64(serverMagic), uint64(optionMagic), uint16(0)]))],
		["an answer to another option", (send) => greet(send, () => encodeOptionReply(option.list, optionReply.ack))],
		["an option's answer of 4 GiB", (send) => greet(send, longReply)],
		["no structured replies", (send) => greet(send, (kind) => encodeOptionReply(kind, optionReply.unsupported))],
		["an acknowledgement without a size", (send) => greet(send, (kind) => encodeOptionReply(kind, optionReply.ack))],
		["a size beyond all numbers", (send) => greet(send, (kind) => describeDisk(kind, 2n ** 63n))],
	])("%s is told as an error of its own, at once", async (_name, script) => {
		await peers.serve(script);
		await expect(join()).rejects.toMatchObject({ name: "SternaError", code: /^(invalid|incompatible)$/ });
	});

	const whole = { flags: chunk.done, type: chunk.offsetData };
	test.each<[string, (request: Request) => Uint8Array[]]>([
		["a reply that is none", () => [Buffer.alloc(20, 7)]],
		["an answer to what was not asked", (request) => data({ ...request, cookie: 99n }, whole, 0, 16)],
		["data before the range", (request) => data(request, whole, -1, 16)],
		["data behind the range", (request) => data(request, whole, 8, 16)],
		["less than was asked for", (request) => data(request, whole, 0, 15)],
		[
			"one half twice",
			(request) => [
				...data(request, { ...whole, flags: 0 }, 0, 8),
				...data(request, { ...whole, flags: 0 }, 0, 8),
				encodeChunk({ flags: chunk.done, type: chunk.none, cookie: request.cookie, payloadBytes: 0 }),
			],
		],
		[
			"a payload of 4 GiB",
			({ cookie }) => [encodeChunk({ ...whole, cookie, payloadBytes: 0xffff_ffff }), Buffer.alloc(64)],
		],
		[
			"a kind of chunk that does not exist",
			({ cookie }) => [encodeChunk({ flags: 1, type: 99, cookie, payloadBytes: 0 })],
		],
		[
			"an error that is no error",
			({ cookie }) => [encodeChunk({ flags: 1, type: chunk.error, cookie, payloadBytes: 2 }), Buffer.alloc(2)],
		],
		[
			"an error with a text longer than itself",
			({ cookie }) => [
				encodeChunk({ flags: 1, type: chunk.error | 1, cookie, payloadBytes: 6 }),
				Buffer.from([0, 0, 0, 5, 255, 255]),
			],
		],
		[
			"block status instead of data",
			({ cookie }) => [encodeChunk({ flags: 1, type: chunk.blockStatus, cookie, payloadBytes: 12 }), Buffer.alloc(12)],
		],
	])("%s ends the connection with an error for every reader", async (_name, answer) => {
		await peers.serve((send) => transmit(send, answer));
		const client = await join();
		const reads = await Promise.allSettled([client.read(1024, 16), client.read(0, 16)]);
		for (const read of reads) expect(read).toMatchObject({ status: "rejected", reason: { code: "invalid" } });
		await expect(client.read(0, 1)).rejects.toMatchObject({ code: "invalid" });
	});

	test("a connection cut in the middle of an answer is `unavailable`", async () => {
		await peers.serve(function* (send) {
			yield* transmit(send, (request) => data(request, whole, 0, 16).map((part) => part.subarray(0, 20)));
		});
		const client = await join();
		const read = client.read(0, 16);
		read.catch(() => undefined);
		await peers.close();
		await expect(read).rejects.toMatchObject({ code: "unavailable" });
	});

	test("a hole and data in any order are one answer", async () => {
		await peers.serve((send) =>
			transmit(send, (request) => [
				...data(request, { ...whole, flags: 0 }, 8, 8),
				encodeChunk({ flags: chunk.done, type: chunk.offsetHole, cookie: request.cookie, payloadBytes: 12 }),
				Buffer.concat([uint64(request.offset), uint32(8)]),
			]),
		);
		const client = await join();
		const bytes = await client.read(512, 16);
		expect(Buffer.from(bytes)).toEqual(Buffer.concat([Buffer.alloc(8), Buffer.alloc(8, "d")]));
	});
});

function* speak(send: (bytes: Uint8Array) => void, bytes: Buffer): Listening {
	send(bytes);
	yield* take(1);
}

/** Greets as it should, and answers every option with what `answer` makes of its number. */
function* greet(send: (bytes: Uint8Array) => void, answer: (kind: number) => Uint8Array): Listening {
	send(Buffer.concat([uint64(serverMagic), uint64(optionMagic), uint16(3)]));
	yield* take(4);
	for (;;) {
		const header = yield* take(optionHeaderBytes);
		yield* take(header.readUInt32BE(12));
		send(answer(header.readUInt32BE(8)));
		if (header.readUInt32BE(8) === option.go) return;
	}
}

/** Serves a disk of 1 MiB, with answers of its own to each request. */
function* transmit(send: (bytes: Uint8Array) => void, answer: (request: Request) => Uint8Array[]): Listening {
	yield* greet(send, (kind) => describeDisk(kind, 1024n * 1024n));
	for (;;) {
		const request = decodeRequest(yield* take(requestBytes));
		if (request) for (const part of answer(request)) send(part);
	}
}

function describeDisk(kind: number, sizeBytes: bigint): Buffer {
	const acknowledged = encodeOptionReply(kind, optionReply.ack);
	if (kind !== option.go) return acknowledged;
	const description = Buffer.concat([uint16(0), uint64(sizeBytes), uint16(3)]);
	return Buffer.concat([encodeOptionReply(kind, optionReply.info, description), acknowledged]);
}

function longReply(kind: number): Buffer {
	const reply = encodeOptionReply(kind, optionReply.ack);
	reply.writeUInt32BE(0xffff_ffff, 16);
	return reply;
}

function data(request: Request, header: { flags: number; type: number }, from: number, lengthBytes: number): Buffer[] {
	return [
		encodeChunk({ ...header, cookie: request.cookie, payloadBytes: 8 + lengthBytes }),
		uint64(request.offset + BigInt(from)),
		Buffer.alloc(lengthBytes, "d"),
	];
}
