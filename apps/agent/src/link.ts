import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { asSternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";
import { maxFrameLength } from "@sterna/shared/protocol/messages";
import { Endpoint, type Handlers, type Wire } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import { WebSocket } from "ws";
import type { Clock, Credentials } from "./context.ts";
import type { Counters } from "./counters.ts";
import { type ConsoleAddress, recognise } from "./identity/request.ts";
import { program } from "./version.ts";
import { helloTimeoutMs } from "./wire/endpoint.ts";
import { maxBufferedBytes } from "./wire/lines.ts";

/** Times of the line to the console; tests and the demo shorten them. */
export interface LinkTimes {
	/** The first wait after a lost connection; doubled with every failure, and randomised. */
	minBackoffMs: number;
	maxBackoffMs: number;
	/** How often the console is pinged; two pings without any sign end the connection. */
	heartbeatMs: number;
}

export const linkTimes: LinkTimes = { minBackoffMs: 500, maxBackoffMs: 30_000, heartbeatMs: 10_000 };

/** Streams pause above this; the connection is given up at `maxBufferedBytes`. */
const drainedBytes = 1024 * 1024;
const handshakeTimeoutMs = 10_000;

export interface LinkOptions {
	console: ConsoleAddress;
	credentials: () => Credentials;
	handlers: Handlers;
	counters: Counters;
	clock: Clock;
	log: Logger;
	times?: LinkTimes;
}

export interface LinkState {
	connected: boolean;
	since: number;
	problem: string | null;
}

/**
 * The line to the console, which this side dials and dials again: the console calls, this host serves. Nothing that runs
 * here depends on it.
 */
export class Link {
	readonly #options: LinkOptions;
	readonly #times: LinkTimes;
	readonly #log: Logger;
	readonly #stop = new AbortController();
	#state: LinkState;
	#running: Promise<void> | null = null;

	constructor(options: LinkOptions) {
		this.#options = options;
		this.#times = options.times ?? linkTimes;
		this.#log = options.log.child({ part: "link" });
		this.#state = { connected: false, since: options.clock.now(), problem: null };
	}

	get state(): LinkState {
		return this.#state;
	}

	start(): void {
		this.#running ??= this.#run();
	}

	async close(): Promise<void> {
		this.#stop.abort();
		await this.#running;
	}

	async #run(): Promise<void> {
		const { signal } = this.#stop;
		let failures = 0;
		while (!signal.aborted) {
			const { wasOpen, problem } = await this.#connectOnce(signal);
			if (signal.aborted) return;
			failures = wasOpen ? 0 : failures + 1;
			this.#tell(false, problem);
			this.#log.warn({ problem }, "console lost");
			await sleep(backoffMs(failures, this.#times), undefined, { signal, ref: false }).catch(() => {});
		}
	}

	/** One connection from dialling to its end. `wasOpen`: the console spoke our protocol. */
	async #connectOnce(signal: AbortSignal): Promise<{ wasOpen: boolean; problem: string }> {
		const { console, credentials, counters, handlers } = this.#options;
		let connection: number;
		let tls: TLSSocket;
		try {
			connection = await counters.nextConnection();
			tls = await recognise(console, { credentials: credentials() }, signal);
		} catch (thrown) {
			return { wasOpen: false, problem: asSternaError(thrown).message };
		}
		if (signal.aborted) {
			tls.destroy();
			return { wasOpen: false, problem: "this agent is closing" };
		}
		return new Promise((resolve) => {
			let wasOpen = false;
			let problem = "the console closed the connection";
			const socket = new WebSocket(urlOf(console), [], {
				createConnection: () => tls,
				handshakeTimeout: handshakeTimeoutMs,
				maxPayload: maxFrameLength,
				perMessageDeflate: false,
			});
			const giveUp = (why: string) => {
				problem = why;
				socket.terminate();
			};
			const onAbort = () => socket.terminate();
			signal.addEventListener("abort", onAbort, { once: true });
			const timers = {
				hello: undefined as NodeJS.Timeout | undefined,
				heartbeat: undefined as NodeJS.Timeout | undefined,
			};
			let endpoint: Endpoint | null = null;
			socket.once("open", () => {
				timers.hello = setTimeout(() => giveUp("the console said no hello"), helloTimeoutMs);
				timers.heartbeat = keepHeard(socket, this.#times.heartbeatMs, () => giveUp("the console is silent"));
				endpoint = new Endpoint({
					wire: webSocketWire(socket, giveUp),
					program,
					connection,
					handlers,
					caller: { audience: "console", hostId: null },
					onOpen: (hello) => {
						clearTimeout(timers.hello);
						wasOpen = true;
						this.#tell(true, null);
						this.#log.info({ connection, console: hello.program }, "console connected");
					},
					onProtocolError: (error) => {
						problem = error.message;
					},
					onHandlerError: (command, error) => this.#log.error({ command, err: error }, "command failed"),
				});
			});
			socket.on("message", (data, isBinary) => {
				if (isBinary) giveUp("the console sent a binary frame");
				else endpoint?.receive(data.toString());
			});
			socket.on("error", (error) => {
				problem = error.message;
			});
			socket.once("close", (_code, reason) => {
				clearTimeout(timers.hello);
				clearInterval(timers.heartbeat);
				signal.removeEventListener("abort", onAbort);
				if (reason.length > 0) problem = printable(reason.toString(), 200);
				endpoint?.closed(problem);
				resolve({ wasOpen, problem });
			});
		});
	}

	#tell(connected: boolean, problem: string | null): void {
		const since = connected === this.#state.connected ? this.#state.since : this.#options.clock.now();
		this.#state = { connected, since, problem };
	}
}

/** Exponential with full jitter, so that a restarted console is not met by all hosts at once. Never under half the minimum. */
export function backoffMs(failures: number, times: LinkTimes, random: () => number = Math.random): number {
	const ceiling = Math.min(times.maxBackoffMs, times.minBackoffMs * 2 ** Math.min(failures, 30));
	return times.minBackoffMs / 2 + random() * (ceiling - times.minBackoffMs / 2);
}

function urlOf({ address, port }: ConsoleAddress): string {
	return `wss://${address.includes(":") ? `[${address}]` : address}:${port}/agent`;
}

/** Pings; calls `onSilent` when two beats passed without a sign of life. */
function keepHeard(socket: WebSocket, heartbeatMs: number, onSilent: () => void): NodeJS.Timeout {
	let silentBeats = 0;
	const heard = () => {
		silentBeats = 0;
	};
	socket.on("pong", heard);
	socket.on("ping", heard);
	socket.on("message", heard);
	return setInterval(() => {
		if (++silentBeats > 2) onSilent();
		else socket.ping();
	}, heartbeatMs);
}

function webSocketWire(socket: WebSocket, giveUp: (why: string) => void): Wire {
	return {
		send(text) {
			if (socket.readyState !== WebSocket.OPEN) return;
			socket.send(text);
			if (socket.bufferedAmount > maxBufferedBytes) giveUp("the console does not read");
		},
		close: (reason) => socket.close(1008, closeReason(reason)),
		drained: () => drained(socket),
	};
}

/** A close reason has at most 123 bytes (RFC 6455 §5.5). */
function closeReason(reason: string): string {
	return Buffer.from(reason)
		.subarray(0, 120)
		.toString("utf8")
		.replace(/\ufffd+$/, "");
}

async function drained(socket: WebSocket): Promise<void> {
	while (socket.readyState === WebSocket.OPEN && socket.bufferedAmount > drainedBytes) {
		await sleep(20, undefined, { ref: false });
	}
}
