import type { Socket } from "node:net";
import { Intake, type Listening, take } from "./intake.ts";
import type { NbdExport } from "./nbd.ts";
import { garbage } from "./negotiation.ts";
import { type Choice, type Context, offer } from "./offers.ts";
import {
	chunk,
	chunkHeaderBytes,
	command,
	decodeRequest,
	encodeChunk,
	errorNumber,
	maxPayloadBytes,
	type Request,
	requestBytes,
	requestOneExtent,
} from "./wire.ts";

/** Requests of one connection that are worked on at a time, and what their answers may take of memory. */
const maxInFlight = 16;
const maxInFlightBytes = 2 * maxPayloadBytes;
/** Requests that may have arrived and wait; more stay in the socket. */
const maxWaiting = 64;
const maxExtents = 4096;
const handshakeMs = 20_000;

/** One client of the server. Ends with the socket, whoever ends that. */
export class Service {
	readonly #socket: Socket;
	readonly #waiting: Request[] = [];
	readonly #stop = new AbortController();
	#choice: Choice | null = null;
	#inFlight = 0;
	#inFlightBytes = 0;

	constructor(socket: Socket, exports: readonly NbdExport[]) {
		this.#socket = socket;
		const impatience = setTimeout(() => {
			if (this.#choice === null) this.end();
		}, handshakeMs);
		const intake = new Intake(this.#listen(exports));
		socket.on("data", (bytes: Buffer) => {
			try {
				intake.feed(bytes);
				this.#work();
			} catch {
				// A peer that does not keep the protocol cannot be answered in it. It hears the end.
				this.end();
			}
		});
		socket.on("error", () => this.end());
		socket.on("close", () => {
			clearTimeout(impatience);
			this.end();
		});
	}

	end(): void {
		this.#socket.destroy();
		this.#stop.abort();
		this.#waiting.length = 0;
	}

	*#listen(exports: readonly NbdExport[]): Listening {
		this.#choice = yield* offer(exports, (bytes) => this.#socket.write(bytes));
		if (this.#choice === null) {
			this.#socket.end();
			return;
		}
		for (;;) {
			const request = decodeRequest(yield* take(requestBytes));
			if (request === null) throw garbage("a request does not begin as one");
			if (request.command === command.disconnect) {
				this.end();
				return;
			}
			// What follows a request is its payload when it writes: of unknown length, so nothing behind it can be understood.
			if (request.command !== command.read && request.command !== command.blockStatus && request.lengthBytes > 0) {
				throw garbage("it asks for what a read-only export does not offer");
			}
			this.#waiting.push(request);
		}
	}

	#work(): void {
		while (this.#waiting.length > 0 && this.#inFlight < maxInFlight && this.#inFlightBytes < maxInFlightBytes) {
			const request = this.#waiting.shift();
			if (request) void this.#serve(request);
		}
		if (this.#waiting.length > maxWaiting) this.#socket.pause();
		else this.#socket.resume();
	}

	async #serve(request: Request): Promise<void> {
		const takenBytes = request.command === command.read ? Math.min(request.lengthBytes, maxPayloadBytes) : 0;
		this.#inFlight += 1;
		this.#inFlightBytes += takenBytes;
		const answer = await this.#answer(request).catch(() => [failure(request, errorNumber.io)]);
		if (!this.#stop.signal.aborted) await this.#send(answer);
		this.#inFlight -= 1;
		this.#inFlightBytes -= takenBytes;
		this.#work();
	}

	/** The parts of the answer: small ones and data as it is, without a copy. Throws what the export throws. */
	async #answer(request: Request): Promise<Uint8Array[]> {
		const refusal = this.#refusal(request);
		if (refusal !== null || this.#choice === null) return [failure(request, refusal ?? errorNumber.invalid)];
		const { chosen, contexts } = this.#choice;
		const offset = Number(request.offset);
		if (request.command === command.blockStatus) return this.#describe(request, contexts, offset);
		const data = await chosen.read(offset, request.lengthBytes, this.#stop.signal);
		if (data.length !== request.lengthBytes) return [failure(request, errorNumber.io)];
		if (isZero(data)) return [hole(request)];
		const payloadBytes = 8 + data.length;
		const head = encodeChunk({ flags: chunk.done, type: chunk.offsetData, cookie: request.cookie, payloadBytes }, 8);
		head.writeBigUInt64BE(request.offset, chunkHeaderBytes);
		return [head, data];
	}

	#refusal(request: Request): number | null {
		const knownFlags = request.command === command.blockStatus ? requestOneExtent : 0;
		if ((request.flags & ~knownFlags) !== 0 || request.lengthBytes === 0) return errorNumber.invalid;
		if (request.offset + BigInt(request.lengthBytes) > BigInt(this.#choice?.chosen.sizeBytes ?? 0)) {
			return errorNumber.invalid;
		}
		if (request.command === command.read) return request.lengthBytes > maxPayloadBytes ? errorNumber.overflow : null;
		if (request.command === command.blockStatus) return this.#choice?.contexts.length ? null : errorNumber.invalid;
		return errorNumber.notSupported;
	}

	/** One chunk for each context that was agreed on; the last one says that it is. */
	async #describe(request: Request, contexts: readonly Context[], offset: number): Promise<Buffer[]> {
		const most = (request.flags & requestOneExtent) !== 0 ? 1 : maxExtents;
		const all: Buffer[] = [];
		for (const context of contexts) {
			const extents = await readExtents(context, offset, request.lengthBytes, most);
			const payloadBytes = 4 + 8 * extents.length;
			const flags = context === contexts.at(-1) ? chunk.done : 0;
			const bytes = encodeChunk({ flags, type: chunk.blockStatus, cookie: request.cookie, payloadBytes }, payloadBytes);
			let at = bytes.writeUInt32BE(context.id, chunkHeaderBytes);
			for (const extent of extents) {
				at = bytes.writeUInt32BE(extent.lengthBytes, at);
				at = bytes.writeUInt32BE(extent.flags, at);
			}
			all.push(bytes);
		}
		return all;
	}

	/** Fulfilled when the kernel has taken it: until then it counts as in flight. */
	#send(parts: readonly Uint8Array[]): Promise<void> {
		this.#socket.cork();
		const taken = parts.map((part) => new Promise<void>((fulfil) => this.#socket.write(part, () => fulfil())));
		this.#socket.uncork();
		return Promise.all(taken).then(() => undefined);
	}
}

/** The first extents of a range, neighbours of the same kind joined; a part of the range is an answer too. */
async function readExtents(
	{ name, extents }: Context,
	offset: number,
	lengthBytes: number,
	most: number,
): Promise<{ lengthBytes: number; flags: number }[]> {
	const found: { lengthBytes: number; flags: number }[] = [];
	const end = offset + lengthBytes;
	let at = offset;
	for await (const extent of extents(offset, lengthBytes)) {
		if (extent.offset !== at || extent.lengthBytes <= 0) throw new Error(`${name} describes the blocks with gaps`);
		const length = Math.min(extent.lengthBytes, end - at);
		const last = found.at(-1);
		if (last?.flags === extent.flags) last.lengthBytes += length;
		else if (found.length === most) break;
		else found.push({ lengthBytes: length, flags: extent.flags });
		at += length;
		if (at >= end) break;
	}
	if (found.length === 0) throw new Error(`${name} does not describe the blocks`);
	return found;
}

const zeros = Buffer.alloc(64 * 1024);

/** Most of a fresh disk is zeros: they need not go over a socket. */
function isZero(data: Uint8Array): boolean {
	for (let at = 0; at < data.length; at += zeros.length) {
		const part = data.subarray(at, at + zeros.length);
		if (Buffer.compare(part, zeros.subarray(0, part.length)) !== 0) return false;
	}
	return true;
}

function hole(request: Request): Buffer {
	const header = { flags: chunk.done, type: chunk.offsetHole, cookie: request.cookie, payloadBytes: 12 };
	const bytes = encodeChunk(header, 12);
	bytes.writeBigUInt64BE(request.offset, chunkHeaderBytes);
	bytes.writeUInt32BE(request.lengthBytes, chunkHeaderBytes + 8);
	return bytes;
}

function failure(request: Request, number: number): Buffer {
	const header = { flags: chunk.done, type: chunk.error | 1, cookie: request.cookie, payloadBytes: 6 };
	const bytes = encodeChunk(header, 6);
	bytes.writeUInt32BE(number, chunkHeaderBytes);
	bytes.writeUInt16BE(0, chunkHeaderBytes + 4);
	return bytes;
}
