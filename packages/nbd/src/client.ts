import { SternaError } from "@sterna/shared/errors";
import { Connection, type Peer } from "./connection.ts";
import type { NbdClient, NbdExtent } from "./nbd.ts";
import type { Agreement } from "./negotiation.ts";
import { command, maxPayloadBytes } from "./wire.ts";

/** The length of a block status has 32 bits; this is a multiple of every block size. */
const statusStepBytes = 2 ** 31;

/**
 * Connects to an export of an NBD server on a unix socket.
 * @throws {SternaError} `unavailable` when nobody answers, `not_found` for an export or context that is not there,
 * `incompatible` for a server that cannot what is needed, `invalid` for one that does not keep the protocol.
 */
export async function connectNbd(peer: Peer): Promise<NbdClient> {
	const connection = new Connection(peer);
	return new Client(connection, await connection.agreement);
}

class Client implements NbdClient {
	readonly #connection: Connection;
	readonly #agreement: Agreement;

	constructor(connection: Connection, agreement: Agreement) {
		this.#connection = connection;
		this.#agreement = agreement;
	}

	get sizeBytes(): number {
		return this.#agreement.sizeBytes;
	}

	async read(offset: number, lengthBytes: number, into?: Uint8Array): Promise<Uint8Array> {
		this.#checkRange(offset, lengthBytes);
		if (lengthBytes > maxPayloadBytes) {
			throw new SternaError("invalid", `${lengthBytes} bytes are more than one NBD request can read`, {
				cure: `read at most ${maxPayloadBytes} at once`,
			});
		}
		// Every byte of it is written before it is handed out, so it need not be zeroed.
		const bytes = into ? Buffer.from(into.buffer, into.byteOffset, lengthBytes) : Buffer.allocUnsafeSlow(lengthBytes);
		if (lengthBytes === 0) return bytes;
		const asked = { kind: "read" as const, offset, bytes, arrived: [], arrivedBytes: 0 };
		await this.#connection.ask(command.read, offset, lengthBytes, asked);
		return bytes;
	}

	async *extents(context: string, offset: number, lengthBytes: number): AsyncGenerator<NbdExtent> {
		this.#checkRange(offset, lengthBytes);
		const contextId = this.#agreement.contexts.get(context);
		if (contextId === undefined) {
			throw new SternaError("invalid", `the metadata context ${context} was not asked for at connecting`);
		}
		const end = offset + lengthBytes;
		let joined: NbdExtent | null = null;
		for (let at = offset; at < end; ) {
			const step = Math.min(end - at, statusStepBytes);
			const extents: NbdExtent[] = [];
			const asked = { kind: "status" as const, offset: at, lengthBytes: step, contextId, extents };
			await this.#connection.ask(command.blockStatus, at, step, asked);
			for (const extent of extents) {
				at += extent.lengthBytes;
				if (joined?.flags === extent.flags) joined.lengthBytes += extent.lengthBytes;
				else {
					if (joined) yield joined;
					joined = extent;
				}
			}
		}
		if (joined) yield joined;
	}

	close(): Promise<void> {
		return this.#connection.close();
	}

	#checkRange(offset: number, lengthBytes: number): void {
		const isRange =
			Number.isSafeInteger(offset) && Number.isSafeInteger(lengthBytes) && offset >= 0 && lengthBytes >= 0;
		if (isRange && offset + lengthBytes <= this.sizeBytes) return;
		throw new SternaError(
			"invalid",
			`${lengthBytes} bytes at ${offset} are not within an NBD export of ${this.sizeBytes}`,
		);
	}
}
