import { connect } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectNbd } from "./client.ts";
import { type Listening, take } from "./intake.ts";
import type { NbdExport, NbdServer } from "./nbd.ts";
import { serveNbd } from "./server.ts";
import { Peers } from "./testing/peers.ts";
import {
	chunkHeaderBytes,
	command,
	decodeChunk,
	encodeOption,
	encodeRequest,
	encodeText,
	errorNumber,
	option,
	optionReply,
	optionReplyHeaderBytes,
	type Request,
	uint16,
	uint32,
} from "./wire.ts";

const mebibyte = 1024 * 1024;
let peers: Peers;
let server: NbdServer;
let reads: { offset: number; lengthBytes: number; signal: AbortSignal }[];
let read: NbdExport["read"];

beforeEach(async () => {
	peers = await Peers.make();
	reads = [];
	read = async (_offset, lengthBytes) => Buffer.alloc(lengthBytes, "d");
	const disk: NbdExport = {
		name: "disk",
		sizeBytes: 64 * mebibyte,
		read(offset, lengthBytes, signal) {
			reads.push({ offset, lengthBytes, signal });
			return read(offset, lengthBytes, signal);
		},
	};
	server = await serveNbd({ socketPath: peers.socketPath, exports: [disk] });
});
afterEach(async () => {
	await server.close();
	await peers.close();
});

type Send = (bytes: Uint8Array) => void;

/** Everybody else is served as if nothing had been. */
async function othersAreServed(): Promise<void> {
	const client = await connectNbd({ socketPath: peers.socketPath, exportName: "disk", contexts: [] });
	expect((await client.read(0, 16)).length).toBe(16);
	await client.close();
}

describe("a client that does not keep the protocol is cut off, and others are served", () => {
	test.each<[string, (send: Send) => Listening]>([
		["flags that nobody knows", (send) => say(send, uint32(0xff))],
		["something else than an option", (send) => say(send, uint32(3), Buffer.alloc(16, 1))],
		["an option of 4 GiB", (send) => say(send, uint32(3), longOption())],
		["options without an end", (send) => say(send, uint32(3), Buffer.concat(Array(200).fill(goTo("other"))))],
		["something else than a request", (send) => join(send, Buffer.alloc(28, 1))],
		["a write with its data", (send) => join(send, ask({ command: 1, lengthBytes: 512 }), Buffer.alloc(512))],
	])("%s", async (_name, script) => {
		expect(await peers.call(script)).toBe("cut off");
		await othersAreServed();
		expect(reads).toHaveLength(1);
	});

	test("any bytes at all, at any moment of the conversation", async () => {
		const prefixes = [[], [structured], [structured, goTo("disk")]];
		await fc.assert(
			fc.asyncProperty(fc.nat({ max: 2 }), fc.uint8Array({ minLength: 28, maxLength: 400 }), async (prefix, bytes) => {
				const end = peers.call((send) => say(send, uint32(3), ...(prefixes[prefix] ?? []), bytes));
				expect(await end).toBe("cut off");
			}),
			{ numRuns: 100 },
		);
		await othersAreServed();
	});
});

describe("what cannot be done is refused, and the connection goes on", () => {
	test.each<[string, Partial<Request>, number]>([
		["a flag that nobody knows", { flags: 1 << 5, lengthBytes: 512 }, errorNumber.invalid],
		["a read of nothing", { lengthBytes: 0 }, errorNumber.invalid],
		["a read of more than 32 MiB", { lengthBytes: 32 * mebibyte + 1 }, errorNumber.overflow],
		["a read of 4 GiB", { lengthBytes: 0xffff_ffff }, errorNumber.invalid],
		["a read beyond the end", { offset: 64n * 1024n * 1024n, lengthBytes: 1 }, errorNumber.invalid],
		["a read from beyond all numbers", { offset: 2n ** 64n - 1n, lengthBytes: 2 }, errorNumber.invalid],
		["block status without its context", { command: command.blockStatus, lengthBytes: 512 }, errorNumber.invalid],
		["a flush", { command: 3 }, errorNumber.invalid],
	])("%s", async (_name, request, number) => {
		const answers: { type: number; cookie: bigint; error: number }[] = [];
		const end = await peers.call(function* (send) {
			yield* enter(send);
			for (const part of [ask({ ...request, cookie: 7n }), ask({ lengthBytes: 16, cookie: 8n })]) send(part);
			for (let count = 0; count < 2; count++) {
				const header = decodeChunk(yield* take(chunkHeaderBytes));
				const payload = yield* take(header?.payloadBytes ?? 0);
				answers.push({ type: header?.type ?? 0, cookie: header?.cookie ?? 0n, error: payload.readUInt32BE(0) });
			}
		});
		expect(end).toBe("heard out");
		expect(answers.toSorted((a, b) => Number(a.cookie - b.cookie))).toEqual([
			{ type: 0x8001, cookie: 7n, error: number },
			{ type: 1, cookie: 8n, error: 0 },
		]);
		expect(reads).toHaveLength(1);
	});

	test("an unknown option, an unknown export, and going before structured replies", async () => {
		const types: number[] = [];
		await peers.call(function* (send) {
			yield* take(18);
			const options = [
				encodeOption(99, Buffer.alloc(3)),
				goTo("other"),
				goTo("disk"),
				encodeOption(option.go, uint16(9)),
			];
			for (const part of [uint32(3), ...options]) send(part);
			for (let count = 0; count < options.length; count++) types.push((yield* receiveReply()).type);
		});
		expect(types).toEqual([optionReply.unsupported, optionReply.unknown, optionReply.policy, optionReply.invalid]);
	});

	test("exports can be listed", async () => {
		const heard: string[] = [];
		await peers.call(function* (send) {
			yield* take(18);
			send(Buffer.concat([uint32(3), encodeOption(option.list, Buffer.alloc(0))]));
			for (let reply = yield* receiveReply(); reply.type !== optionReply.ack; reply = yield* receiveReply()) {
				heard.push(reply.data.toString("utf8", 4));
			}
		});
		expect(heard).toEqual(["disk"]);
	});
});

test("a client that asks for much and reads nothing is worked for up to a bound, and leaves nothing behind", async () => {
	// Nobody listens to this socket: what it gets stays in the kernel, then in the server.
	const deaf = connect(peers.socketPath).on("error", () => undefined);
	const asked = Array.from({ length: 500 }, (_, index) => ask({ lengthBytes: 16 * mebibyte, cookie: BigInt(index) }));
	deaf.write(Buffer.concat([uint32(3), structured, goTo("disk"), ...asked]));
	await expect.poll(() => reads.length).toBeGreaterThan(2);
	await othersAreServed();
	expect(reads.filter(({ lengthBytes }) => lengthBytes > 16).length).toBeLessThan(8);
	deaf.destroy();
	await expect.poll(() => reads[0]?.signal.aborted).toBe(true);
	expect(reads.length).toBeLessThan(10);
});

test("what a client that left had asked for is given up", async () => {
	read = () => new Promise(() => undefined);
	const client = await connectNbd({ socketPath: peers.socketPath, exportName: "disk", contexts: [] });
	const lost = expect(client.read(0, 16)).rejects.toMatchObject({ code: "unavailable" });
	await expect.poll(() => reads.length).toBe(1);
	expect(reads[0]?.signal.aborted).toBe(false);
	await client.close();
	await lost;
	await expect.poll(() => reads[0]?.signal.aborted).toBe(true);
});

test("a socket that an earlier life left is replaced, and a closed server's is gone", async () => {
	const again = await serveNbd({ socketPath: peers.socketPath, exports: [] });
	await again.close();
	await expect(connectNbd({ socketPath: peers.socketPath, exportName: "disk", contexts: [] })).rejects.toMatchObject({
		code: "unavailable",
	});
});

const structured = encodeOption(option.structuredReply, Buffer.alloc(0));

function goTo(name: string): Buffer {
	return encodeOption(option.go, Buffer.concat([encodeText(name), uint16(0)]));
}

function longOption(): Buffer {
	const bytes = encodeOption(option.go, Buffer.alloc(0));
	bytes.writeUInt32BE(0xffff_ffff, 12);
	return bytes;
}

function ask(request: Partial<Request>): Buffer {
	return encodeRequest({ flags: 0, command: command.read, cookie: 1n, offset: 0n, lengthBytes: 0, ...request });
}

/** Says something after the greeting and listens for as long as the server talks. */
function* say(send: Send, ...parts: Uint8Array[]): Listening {
	yield* take(18);
	for (const part of parts) send(part);
	yield* take(1024 * 1024);
}

function* receiveReply(): Listening<{ type: number; data: Buffer }> {
	const header = yield* take(optionReplyHeaderBytes);
	return { type: header.readUInt32BE(12), data: yield* take(header.readUInt32BE(16)) };
}

/** Goes through the handshake as it should be. */
function* enter(send: Send): Listening {
	yield* take(18);
	for (const part of [uint32(3), structured, goTo("disk")]) send(part);
	for (let acknowledged = 0; acknowledged < 2; ) {
		if ((yield* receiveReply()).type === optionReply.ack) acknowledged += 1;
	}
}

function* join(send: Send, ...parts: Uint8Array[]): Listening {
	yield* enter(send);
	for (const part of parts) send(part);
	yield* take(1024 * 1024);
}
