import { connect, type Socket } from "node:net";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { Intake, type Listening } from "./intake.ts";
import { type Agreement, negotiate } from "./negotiation.ts";
import { type Asked, type Pending, receiveReplies } from "./replies.ts";
import { command, encodeRequest } from "./wire.ts";

export interface Peer {
	socketPath: string;
	exportName: string;
	/** Metadata contexts whose block status will be asked for: `base:allocation`, `qemu:dirty-bitmap:…`. */
	contexts: readonly string[];
}

/** QEMU's server works on so many requests of one connection at a time; more would only wait in its socket. */
const maxInFlight = 16;
/** A server that says nothing for so long, although it was asked something, is gone. */
const silentAfterMs = 60_000;

/** A client's socket and the requests on it. Whatever ends it, every request that is open hears it. */
export class Connection {
	readonly #socket: Socket;
	readonly #pending = new Map<bigint, Pending>();
	readonly #waiting: (() => void)[] = [];
	readonly #agreement = Promise.withResolvers<Agreement>();
	#nextCookie = 1n;
	#agreed = false;
	#ended: SternaError | null = null;

	constructor(peer: Peer) {
		const intake = new Intake(this.#listen(peer));
		const callback = (count: number, space: Uint8Array) => {
			try {
				intake.arrived(space, count);
			} catch (error) {
				this.#end(asSternaError(error));
			}
			return true;
		};
		this.#socket = connect({ path: peer.socketPath, onread: { buffer: () => intake.space(), callback } });
		this.#socket.setTimeout(silentAfterMs, () => this.#onSilence());
		const lost = (cause?: unknown) =>
			this.#end(new SternaError("unavailable", "the connection to the NBD server is lost", { cause }));
		this.#socket.on("error", lost).on("close", () => lost());
	}

	/** What was agreed on in the handshake. Rejected when there was no agreement. */
	get agreement(): Promise<Agreement> {
		return this.#agreement.promise;
	}

	/** Fulfilled when all of the answer is in `asked`; rejected with the server's error, or the end of the connection. */
	async ask(kind: number, offset: number, lengthBytes: number, asked: Asked): Promise<void> {
		while (this.#pending.size >= maxInFlight && this.#ended === null) {
			await new Promise<void>((go) => this.#waiting.push(go));
		}
		if (this.#ended) throw this.#ended;
		const cookie = this.#nextCookie++;
		return new Promise((fulfil, fail) => {
			const settle = (error: SternaError | null) => {
				this.#waiting.shift()?.();
				if (error) fail(error);
				else fulfil();
			};
			this.#pending.set(cookie, { asked, error: null, settle });
			this.#socket.write(encodeRequest({ flags: 0, command: kind, cookie, offset: BigInt(offset), lengthBytes }));
		});
	}

	async close(): Promise<void> {
		if (this.#socket.destroyed) return;
		const closed = new Promise<void>((fulfil) => this.#socket.once("close", () => fulfil()));
		// A unix socket takes so little at once, or its server is stuck and will hear the end anyway.
		this.#socket.write(
			encodeRequest({ flags: 0, command: command.disconnect, cookie: 0n, offset: 0n, lengthBytes: 0 }),
		);
		this.#end(new SternaError("unavailable", "the connection to the NBD server was closed here"));
		await closed;
	}

	*#listen(peer: Peer): Listening<never> {
		const agreement = yield* negotiate(peer, (bytes) => this.#socket.write(bytes));
		this.#agreed = true;
		this.#agreement.resolve(agreement);
		return yield* receiveReplies(this.#pending);
	}

	#onSilence(): void {
		if (this.#agreed && this.#pending.size === 0) return;
		this.#end(new SternaError("timeout", `the NBD server said nothing for ${silentAfterMs / 1000} s`));
	}

	#end(reason: SternaError): void {
		this.#socket.destroy();
		if (this.#ended) return;
		this.#ended = reason;
		this.#agreement.reject(reason);
		for (const pending of this.#pending.values()) pending.settle(reason);
		this.#pending.clear();
		for (const go of this.#waiting.splice(0)) go();
	}
}
