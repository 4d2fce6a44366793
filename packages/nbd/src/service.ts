import type { Socket } from "node:net";
import { Intake, type Listening, take } from "./intake.ts";
import type { NbdExport } from "./nbd.ts";
import { garbage } from "./negotiation.ts";
import { allocationContextId, type Choice, offer } from "./offers.ts";
import {
	allocation,
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
		const { chosen } = this.#choice;
		const offset = Number(request.offset);
		if (request.command === command.blockStatus) return [await this.#describe(request, chosen, offset)];
		const data = await chosen.read(offset, request.lengthBytes, this.#stop.signal);
		if (data.length !== request.lengthBytes) return [failure(request, errorNumber.io)];
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
		if (request.command === command.blockStatus) return this.#choice?.allocation ? null : errorNumber.invalid;
		return errorNumber.notSupported;
	}

	async #describe(request: Request, chosen: NbdExport, offset: number): Promise<Buffer> {
		const most = (request.flags & requestOneExtent) !== 0 ? 1 : maxExtents;
		const extents = await readExtents(chosen, offset, request.lengthBytes, most);
		const payloadBytes = 4 + 8 * extents.length;
		const header = { flags: chunk.done, type: chunk.blockStatus, cookie: request.cookie, payloadBytes };
		const bytes = encodeChunk(header, payloadBytes);
		let at = bytes.writeUInt32BE(allocationContextId, chunkHeaderBytes);
		for (const { lengthBytes, zero } of extents) {
			at = bytes.writeUInt32BE(lengthBytes, at);
			at = bytes.writeUInt32BE(zero ? allocation.hole | allocation.zero : 0, at);
		}
		return bytes;
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
	{ extents }: NbdExport,
	offset: number,
	lengthBytes: number,
	most: number,
): Promise<{ lengthBytes: number; zero: boolean }[]> {
	if (!extents) return [{ lengthBytes, zero: false }];
	const found: { lengthBytes: number; zero: boolean }[] = [];
	const end = offset + lengthBytes;
	let at = offset;
	for await (const extent of extents(offset, lengthBytes)) {
		if (extent.offset !== at || extent.lengthBytes <= 0) throw new Error("an export described its blocks with gaps");
		const length = Math.min(extent.lengthBytes, end - at);
		const last = found.at(-1);
		if (last?.zero === extent.zero) last.lengthBytes += length;
		else if (found.length === most) break;
		else found.push({ lengthBytes: length, zero: extent.zero });
		at += length;
		if (at >= end) break;
	}
	if (found.length === 0) throw new Error("an export did not describe its blocks");
	return found;
}

function failure(request: Request, number: number): Buffer {
	const header = { flags: chunk.done, type: chunk.error | 1, cookie: request.cookie, payloadBytes: 6 };
	const bytes = encodeChunk(header, 6);
	bytes.writeUInt32BE(number, chunkHeaderBytes);
	bytes.writeUInt16BE(0, chunkHeaderBytes + 4);
	return bytes;
}
