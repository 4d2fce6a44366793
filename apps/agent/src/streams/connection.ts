import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { FrameReader, type FrameType, frameHeader } from "./frame.ts";
import type { StreamBytes, StreamTimes } from "./messages.ts";

/** How long both sides of a finished stream may take to close. */
const closingMs = 2000;

export interface ConnectionEvents {
	/** A frame that is neither data nor end nor heartbeat. */
	frame(type: "ticket" | "accepted" | "open", content: Buffer): void;
	/** Called once: with null when QEMU closed both directions and every byte arrived, else with what went wrong. */
	ended(error: SternaError | null): void;
}

/**
 * One stream: a TLS connection to the peer agent on one side, a unix socket of QEMU on the other once `attach` is called.
 * Neither side is read faster than the other takes it. Whatever ends badly ends both sides at once.
 */
export class StreamConnection {
	/** Known once the ticket is. */
	name: string;
	readonly bytes: StreamBytes = { sentBytes: 0, receivedBytes: 0 };
	readonly #tls: TLSSocket;
	readonly #events: ConnectionEvents;
	readonly #reader: FrameReader;
	readonly #heart: NodeJS.Timeout;
	#local: Socket | null = null;
	#sentSinceTick = false;
	#silentTicks = 0;
	#sentEnd = false;
	#receivedEnd = false;
	#over = false;

	constructor(options: { name: string; tls: TLSSocket; times: StreamTimes; events: ConnectionEvents }) {
		this.name = options.name;
		this.#tls = options.tls;
		this.#events = options.events;
		this.#reader = new FrameReader({
			frame: (type, content) => this.#onFrame(type, content),
			data: (piece) => this.#onData(piece),
		});
		const allowedTicks = Math.ceil(options.times.silenceLimitMs / options.times.heartbeatMs);
		this.#heart = setInterval(() => this.#beat(allowedTicks), options.times.heartbeatMs);
		this.#tls.setNoDelay(true);
		this.#tls.on("data", (chunk: Buffer) => {
			this.#silentTicks = 0;
			try {
				this.#reader.push(chunk);
			} catch (thrown) {
				this.fail(asSternaError(thrown));
			}
		});
		this.#tls.on("drain", () => this.#local?.resume());
		this.#tls.on("error", (cause) => this.fail(lost(this.name, cause.message, cause)));
		this.#tls.on("close", () => this.fail(lost(this.name, "the other side closed the connection")));
	}

	/** Sends a frame without data. */
	send(type: Exclude<FrameType, "data">, content?: Buffer): void {
		if (this.#over) return;
		this.#sentSinceTick = true;
		this.#tls.write(content ? Buffer.concat([frameHeader(type, content.length), content]) : frameHeader(type));
	}

	/** Joins QEMU's unix socket to the stream; it may still be connecting, and must allow to be closed on one side only. */
	attach(local: Socket): void {
		if (this.#over || this.#local) {
			local.destroy();
			return;
		}
		this.#local = local;
		local.on("data", (chunk: Buffer) => this.#sendData(chunk));
		local.on("drain", () => this.#tls.resume());
		local.on("end", () => this.#localEnded());
		local.on("error", (cause) => this.#localFailed(cause));
		local.on("close", () => this.#localClosed());
	}

	/** Cuts both sides at once. Known to be over already: no change. */
	fail(error: SternaError): void {
		if (this.#over) return;
		this.#finish(error);
	}

	#sendData(chunk: Buffer): void {
		if (this.#over) return;
		this.#sentSinceTick = true;
		this.bytes.sentBytes += chunk.length;
		this.#tls.cork();
		this.#tls.write(frameHeader("data", chunk.length));
		const hasRoom = this.#tls.write(chunk);
		this.#tls.uncork();
		if (!hasRoom) this.#local?.pause();
	}

	#onData(piece: Buffer): void {
		if (!this.#local || this.#receivedEnd) {
			throw new SternaError("invalid", `the stream ${this.name} carried data while it was not open`);
		}
		this.bytes.receivedBytes += piece.length;
		if (!this.#local.destroyed && !this.#local.write(piece)) this.#tls.pause();
	}

	#onFrame(type: Exclude<FrameType, "data">, content: Buffer): void {
		if (type === "heartbeat") return;
		if (type === "end") {
			this.#receivedEnd = true;
			this.#local?.end();
			this.#finishWhenBothEnded();
		} else this.#events.frame(type, content);
	}

	#localEnded(): void {
		if (this.#sentEnd || this.#over) return;
		this.#sentEnd = true;
		this.send("end");
		this.#finishWhenBothEnded();
	}

	/** QEMU closes its end whole when it is done, with our last bytes perhaps unread: a reset after its end is no failure. */
	#localFailed(cause: Error): void {
		if (!this.#sentEnd) this.fail(new SternaError("unavailable", `QEMU left the stream ${this.name}`, { cause }));
	}

	#localClosed(): void {
		this.#localEnded();
		// Nobody reads any more: what still comes from the peer is let through to the end frame and dropped.
		this.#tls.resume();
	}

	/** Everything has arrived; the last bytes may still be on their way out of this process and are waited for. */
	#finishWhenBothEnded(): void {
		if (!this.#sentEnd || !this.#receivedEnd || this.#over) return;
		this.#over = true;
		clearInterval(this.#heart);
		const sockets = [this.#tls, this.#local].filter((socket) => socket !== null);
		const timer = setTimeout(() => {
			for (const socket of sockets) socket.destroy();
		}, closingMs);
		const closed = sockets.map((socket) => {
			const close = new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once("close", () => resolve())));
			socket.resume();
			socket.end();
			return close;
		});
		void Promise.all(closed).then(() => {
			clearTimeout(timer);
			this.#events.ended(null);
		});
	}

	#finish(error: SternaError): void {
		this.#over = true;
		clearInterval(this.#heart);
		this.#tls.destroy();
		this.#local?.destroy();
		this.#events.ended(error);
	}

	/** Silence is counted in ticks of this very loop, and only while we read: neither our own stall nor QEMU's is the peer's. */
	#beat(allowedTicks: number): void {
		if (!this.#tls.isPaused() && ++this.#silentTicks > allowedTicks) {
			this.fail(lost(this.name, "nothing was heard from the other side"));
			return;
		}
		if (!this.#sentSinceTick && this.#tls.writableLength === 0) this.send("heartbeat");
		this.#sentSinceTick = false;
	}
}

function lost(name: string, why: string, cause?: unknown): SternaError {
	return new SternaError("unavailable", `the stream ${name} was cut: ${why}`, cause === undefined ? {} : { cause });
}
