import { SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";
import { type Listening, take } from "./intake.ts";
import type { NbdExtent } from "./nbd.ts";
import { garbage } from "./negotiation.ts";
import { type ChunkHeader, chunk, chunkHeaderBytes, decodeChunk, maxNameBytes, maxPayloadBytes } from "./wire.ts";

/** What a request is about, and what has arrived of its answer. */
export type Asked = AskedRead | AskedStatus;

interface AskedRead {
	kind: "read";
	offset: number;
	bytes: Buffer;
	/** The parts that are there, in the order in which they came: [from, to) within `bytes`. */
	arrived: { from: number; to: number }[];
	arrivedBytes: number;
}

interface AskedStatus {
	kind: "status";
	offset: number;
	lengthBytes: number;
	contextId: number;
	extents: NbdExtent[];
}

/** A request that the server has not answered completely yet. */
export interface Pending {
	asked: Asked;
	error: SternaError | null;
	settle(error: SternaError | null): void;
}

/** The client's side of the transmission phase: brings every chunk to the request that it answers, for ever. */
export function* receiveReplies(pending: Map<bigint, Pending>): Listening<never> {
	for (;;) {
		const header = decodeChunk(yield* take(chunkHeaderBytes));
		if (header === null) throw garbage("a reply does not begin as one");
		const request = pending.get(header.cookie);
		if (!request) throw garbage("it answers what was not asked");
		if ((header.type & chunk.error) !== 0) {
			const error = yield* receiveError(header, request.asked);
			request.error ??= error;
		} else {
			yield* receiveChunk(header, request.asked);
		}
		if ((header.flags & chunk.done) === 0) continue;
		if (request.error === null) checkComplete(request.asked);
		pending.delete(header.cookie);
		request.settle(request.error);
	}
}

function* receiveChunk(header: ChunkHeader, request: Asked): Listening {
	const { type, payloadBytes } = header;
	if (type === chunk.none && payloadBytes === 0 && (header.flags & chunk.done) !== 0) {
		return;
	} else if (type === chunk.offsetData && request.kind === "read" && payloadBytes > 8) {
		const start = (yield* take(8)).readBigUInt64BE(0);
		yield place(request, start, payloadBytes - 8);
	} else if (type === chunk.offsetHole && request.kind === "read" && payloadBytes === 12) {
		const hole = yield* take(12);
		place(request, hole.readBigUInt64BE(0), hole.readUInt32BE(8)).fill(0);
	} else if (type === chunk.blockStatus && request.kind === "status" && payloadBytes >= 12 && payloadBytes % 8 === 4) {
		if (payloadBytes > maxPayloadBytes) throw garbage("it describes more blocks than there can be");
		takeExtents(request, yield* take(payloadBytes));
	} else {
		throw garbage(`a chunk of type ${type} with ${payloadBytes} bytes answers a request that it does not fit`);
	}
}

/** The part of the request's memory that a chunk fills. */
function place(request: AskedRead, start: bigint, lengthBytes: number): Buffer {
	const from = Number(start - BigInt(request.offset));
	const to = from + lengthBytes;
	request.arrivedBytes += lengthBytes;
	if (from < 0 || to > request.bytes.length || lengthBytes === 0 || request.arrivedBytes > request.bytes.length) {
		throw garbage("it sends data that was not asked for");
	}
	const last = request.arrived.at(-1);
	if (last?.to === from) last.to = to;
	else request.arrived.push({ from, to });
	return request.bytes.subarray(from, to);
}

function takeExtents(request: AskedStatus, payload: Buffer): void {
	// All contexts of the connection are answered together; one of them was asked for.
	if (payload.readUInt32BE(0) !== request.contextId) return;
	if (request.extents.length > 0) throw garbage("it describes the same blocks twice");
	const end = request.offset + request.lengthBytes;
	let offset = request.offset;
	for (let at = 4; at < payload.length; at += 8) {
		const lengthBytes = payload.readUInt32BE(at);
		if (lengthBytes === 0 || offset >= end) throw garbage("it describes blocks that were not asked for");
		request.extents.push({
			offset,
			// The last may reach beyond what was asked.
			lengthBytes: Math.min(lengthBytes, end - offset),
			flags: payload.readUInt32BE(at + 4),
		});
		offset += lengthBytes;
	}
}

function* receiveError({ type, payloadBytes }: ChunkHeader, request: Asked): Listening<SternaError> {
	if (payloadBytes < 6 || payloadBytes > maxNameBytes + 14) throw garbage("it tells an error badly");
	const payload = yield* take(payloadBytes);
	const number = payload.readUInt32BE(0);
	const textBytes = payload.readUInt16BE(4);
	const tail = type === chunk.errorWithOffset ? 8 : 0;
	if (6 + textBytes + tail > payloadBytes) throw garbage("it tells an error badly");
	const said = printable(payload.toString("utf8", 6, 6 + textBytes), 300);
	const verb = request.kind === "read" ? "read" : "describe";
	const lengthBytes = request.kind === "read" ? request.bytes.length : request.lengthBytes;
	return new SternaError(
		"unavailable",
		`the NBD server cannot ${verb} ${lengthBytes} bytes at ${request.offset}: ${said || `error ${number}`}`,
	);
}

/** A server that says that it is done has sent every byte once. */
function checkComplete(request: Asked): void {
	if (request.kind === "status") {
		if (request.extents.length === 0) throw garbage("it describes no block of those asked for");
		return;
	}
	let reached = 0;
	for (const { from, to } of request.arrived.toSorted((a, b) => a.from - b.from)) {
		if (from !== reached) break;
		reached = to;
	}
	if (reached !== request.bytes.length) throw garbage("it leaves out a part of what was asked for");
}
