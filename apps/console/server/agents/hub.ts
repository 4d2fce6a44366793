import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import type { CallName, Input, Output, StreamName } from "@sterna/shared/protocol/commands";
import type { TrackedReport } from "@sterna/shared/protocol/report";
import { Endpoint } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import type { WebSocket } from "ws";
import { agentFrameLimits, FrameRate } from "./frame-rate.ts";
import { isAlive, keepAlive } from "./socket-life.ts";

/** What the rest of the console does with what agents say. */
export interface AgentListener {
	/** Whether this connection number is new for the host; remembers it durably. */
	claimConnection(hostId: HostId, connection: number): Promise<boolean>;
	/** Two servers use one identity: keep both out from now on. */
	quarantine(hostId: HostId, because: string): Promise<void>;
	/** The connection was ended by us because the agent broke a rule. */
	misbehaved(hostId: HostId, what: string): void;
	connected(hostId: HostId): void;
	disconnected(hostId: HostId): void;
	/** The last report that was taken, to resume behind; undefined for the whole state. */
	resumeAfter(hostId: HostId): { run: string; id: number } | undefined;
	/** Reports of one host come one after the other. */
	report(hostId: HostId, tracked: TrackedReport): Promise<void>;
}

interface Connection {
	hostId: HostId;
	socket: WebSocket;
	endpoint: Endpoint | null;
	/** Agreed on versions and proved to be no copy. */
	open: boolean;
	stop: AbortController;
	certificateExpiresAt: number;
}

const helloTimeoutMs = 10_000;
const cloneProofMs = 2000;
const pingMs = 3000;
const silentMs = 9000;
const farewellMs = 1000;
const maxBufferedBytes = 16 * 1024 * 1024;
/** Reports of one host that wait to be taken in; more means that it reports faster than the database writes. */
const maxWaitingReports = 5000;

/** The agents that are connected: one connection per host. */
export class AgentHub {
	readonly #connections = new Map<HostId, Connection>();
	readonly #listener: AgentListener;
	readonly #log: Logger;
	readonly #now: () => number;

	constructor({ listener, log, now = Date.now }: { listener: AgentListener; log: Logger; now?: () => number }) {
		this.#listener = listener;
		this.#log = log.child({ part: "hub" });
		this.#now = now;
	}

	isConnected(hostId: HostId): boolean {
		return this.#connections.get(hostId)?.open === true;
	}

	/**
	 * Asks the host's agent.
	 * @throws {SternaError} `host_offline` when it is not connected; what it answered; `timeout`; `unavailable` when the
	 * connection was lost meanwhile: then nobody knows whether it was done.
	 */
	call<Name extends CallName>(
		hostId: HostId,
		command: Name,
		input: Input<Name>,
		options: { timeoutMs?: number; signal?: AbortSignal } = {},
	): Promise<Output<Name>> {
		return this.#endpoint(hostId).call(command, input, options);
	}

	/** Follows a stream of the host's agent until it ends or `signal` aborts. @throws as `call`. */
	stream<Name extends StreamName>(
		hostId: HostId,
		command: Name,
		input: Input<Name>,
		options: { onItem: (item: Output<Name>) => void; signal: AbortSignal },
	): Promise<void> {
		return this.#endpoint(hostId).stream(command, input, options.onItem, options.signal);
	}

	/** Takes over a WebSocket whose client certificate proved `hostId`. */
	async admit(hostId: HostId, socket: WebSocket, certificateExpiresAt: number): Promise<void> {
		const log = this.#log.child({ hostId });
		const connection: Connection = {
			hostId,
			socket,
			endpoint: null,
			open: false,
			stop: new AbortController(),
			certificateExpiresAt,
		};
		const early: string[] = [];
		const rate = new FrameRate(agentFrameLimits);
		socket.on("message", (data, isBinary) => {
			const text = data.toString();
			const excess = isBinary ? "a binary frame" : rate.take(text.length, performance.now());
			if (excess) return this.#punish(connection, excess);
			if (connection.endpoint) connection.endpoint.receive(text);
			else if (early.length < 10) early.push(text);
			else this.#punish(connection, "frames before it was greeted");
		});
		socket.on("error", (err) => log.info({ err }, "agent connection failed"));
		socket.once("close", (code) => this.#closed(connection, code));

		const former = this.#connections.get(hostId);
		this.#connections.set(hostId, connection);
		// The new one may never get so far as to speak: until it does, nobody is heard.
		if (former?.open) this.#listener.disconnected(hostId);
		if (former && (await isAlive(former.socket, cloneProofMs))) {
			await this.#clone(hostId, [former, connection], "two servers were connected with its key at the same time");
			return;
		}
		former?.socket.terminate();
		if (socket.readyState !== socket.OPEN || this.#connections.get(hostId) !== connection) return;
		this.#greet(connection, log);
		for (const text of early) connection.endpoint?.receive(text);
	}

	/** Ends a host's connection, for example after it was revoked. */
	drop(hostId: HostId, reason: string): void {
		this.#connections.get(hostId)?.socket.close(1008, reason.slice(0, 100));
	}

	/** Ends connections whose certificate is over, and those that `isRefused`. */
	sweep(isRefused: (hostId: HostId) => boolean): void {
		for (const { hostId, certificateExpiresAt } of this.#connections.values()) {
			if (isRefused(hostId)) this.drop(hostId, "this host is not let in any more");
			else if (certificateExpiresAt <= this.#now()) this.drop(hostId, "the certificate is over");
		}
	}

	connectedHosts(): HostId[] {
		return [...this.#connections.values()].filter(({ open }) => open).map(({ hostId }) => hostId);
	}

	close(): void {
		for (const { socket, stop } of this.#connections.values()) {
			stop.abort();
			socket.close(1001, "the console stops");
			socket.terminate();
		}
	}

	#endpoint(hostId: HostId): Endpoint {
		const connection = this.#connections.get(hostId);
		if (!connection?.open || !connection.endpoint) {
			throw new SternaError("host_offline", "the host's agent is not connected", {
				cure: "wait until it is back, or look at the server",
			});
		}
		return connection.endpoint;
	}

	#greet(connection: Connection, log: Logger): void {
		const { socket, hostId } = connection;
		keepAlive(socket, { pingMs, silentMs, onSilent: () => socket.terminate() });
		const helloTimer = setTimeout(() => this.#punish(connection, "no hello"), helloTimeoutMs);
		socket.once("close", () => clearTimeout(helloTimer));
		connection.endpoint = new Endpoint({
			program: "sterna-console 0.1.0",
			wire: {
				send: (text) => {
					if (socket.readyState !== socket.OPEN) return;
					socket.send(text);
					if (socket.bufferedAmount > maxBufferedBytes) this.#punish(connection, "it does not read what it is sent");
				},
				close: (reason) => socket.close(1008, reason.slice(0, 100)),
			},
			onOpen: ({ program, connection: number }) => {
				clearTimeout(helloTimer);
				void this.#opened(connection, number, log.child({ program })).catch((err) => {
					log.error({ err }, "agent connection not opened");
					socket.terminate();
				});
			},
			onProtocolError: (error) => this.#listener.misbehaved(hostId, error.message),
		});
	}

	async #opened(connection: Connection, number: number | undefined, log: Logger): Promise<void> {
		const { hostId, socket } = connection;
		if (number === undefined) return this.#punish(connection, "no connection number");
		if (!(await this.#listener.claimConnection(hostId, number))) {
			return this.#clone(hostId, [connection], `connection number ${number} of its key was used before`);
		}
		if (socket.readyState !== socket.OPEN || this.#connections.get(hostId) !== connection) return;
		connection.open = true;
		log.info("agent connected");
		this.#listener.connected(hostId);
		await this.#follow(connection, log);
	}

	/** Takes the host's reports, one after the other, for as long as it is connected. */
	async #follow(connection: Connection, log: Logger): Promise<void> {
		const { hostId, endpoint, socket, stop } = connection;
		if (!endpoint) return;
		let waiting = 0;
		let tail = Promise.resolve();
		const take = (tracked: TrackedReport) => {
			if (++waiting > maxWaitingReports) return this.#punish(connection, "more reports than can be taken in");
			tail = tail
				.then(() => (stop.signal.aborted ? undefined : this.#listener.report(hostId, tracked)))
				.catch((err) => {
					log.error({ err }, "report not taken in");
					socket.close(1011, "a report could not be taken in");
				})
				.finally(() => waiting--);
		};
		const after = this.#listener.resumeAfter(hostId);
		try {
			await endpoint.stream("host.report", after ? { after } : {}, take, stop.signal);
			if (!stop.signal.aborted) this.#punish(connection, "it stopped reporting");
		} catch (thrown) {
			if (stop.signal.aborted) return;
			this.#punish(connection, thrown instanceof SternaError ? thrown.message : "its reports cannot be read");
		}
	}

	#punish(connection: Connection, what: string): void {
		if (connection.stop.signal.aborted) return;
		connection.stop.abort();
		this.#listener.misbehaved(connection.hostId, what);
		connection.socket.close(1008, what.slice(0, 100));
		// One that does not read would never see the close.
		setTimeout(() => connection.socket.terminate(), farewellMs).unref();
	}

	async #clone(hostId: HostId, connections: Connection[], because: string): Promise<void> {
		for (const { socket, stop } of connections) {
			stop.abort();
			socket.close(1008, "this identity is used by two servers");
		}
		await this.#listener.quarantine(hostId, because);
	}

	#closed(connection: Connection, code: number): void {
		connection.stop.abort();
		connection.endpoint?.closed(`closed with code ${code}`);
		if (this.#connections.get(connection.hostId) !== connection) return;
		this.#connections.delete(connection.hostId);
		if (connection.open) this.#listener.disconnected(connection.hostId);
		this.#log.info({ hostId: connection.hostId, code }, "agent disconnected");
	}
}
