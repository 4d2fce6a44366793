import { connect, type TLSSocket } from "node:tls";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { CallName, Input, Output, PeerAddress } from "@sterna/shared/protocol/commands";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import type { Endpoint } from "@sterna/shared/protocol/rpc";
import type { Credentials, Peers } from "../context.ts";
import { program } from "../version.ts";
import { endpointOver } from "../wire/endpoint.ts";
import type { Revocations } from "./revocations.ts";

const connectTimeoutMs = 5000;
const idleMs = 60_000;

interface Connection {
	endpoint: Promise<{ endpoint: Endpoint; socket: TLSSocket }>;
	calls: number;
	idleTimer: NodeJS.Timeout | null;
}

/**
 * Calls to peers over one kept connection each. A connection on which a call ran into its deadline takes no new calls,
 * so that the next call finds out at once whether the peer is there.
 */
export class PeerClient implements Peers {
	readonly #credentials: () => Credentials;
	readonly #revocations: Revocations;
	readonly #connections = new Map<string, Connection>();
	#closed = false;

	constructor(options: { credentials: () => Credentials; revocations: Revocations }) {
		this.#credentials = options.credentials;
		this.#revocations = options.revocations;
		this.#revocations.onChange(() => {
			for (const key of this.#connections.keys()) if (this.#revocations.has(hostOfKey(key))) this.#retire(key);
		});
	}

	async call<Name extends CallName>(
		peer: PeerAddress,
		command: Name,
		input: Input<Name>,
		options: { timeoutMs?: number; signal?: AbortSignal } = {},
	): Promise<Output<Name>> {
		if (this.#closed) throw new SternaError("unavailable", "this agent is closing");
		if (this.#revocations.has(peer.hostId)) throw new SternaError("forbidden", `host ${peer.name} is revoked`);
		const key = keyOf(peer);
		const connection = this.#connections.get(key) ?? this.#open(key, peer);
		connection.calls++;
		if (connection.idleTimer) clearTimeout(connection.idleTimer);
		connection.idleTimer = null;
		try {
			const { endpoint } = await connection.endpoint;
			return await endpoint.call(command, input, options);
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (error.code === "timeout" && this.#connections.get(key) === connection) this.#connections.delete(key);
			throw error;
		} finally {
			connection.calls--;
			if (connection.calls === 0) this.#rest(key, connection);
		}
	}

	close(): void {
		this.#closed = true;
		for (const key of [...this.#connections.keys()]) this.#retire(key);
	}

	#open(key: string, peer: PeerAddress): Connection {
		const endpoint = connectPeer(peer, this.#credentials());
		const connection: Connection = { endpoint, calls: 0, idleTimer: null };
		this.#connections.set(key, connection);
		const forget = () => {
			if (this.#connections.get(key) === connection) this.#connections.delete(key);
		};
		endpoint.then(({ socket }) => socket.once("close", forget), forget);
		return connection;
	}

	/** Nobody calls: a connection out of use is closed now, a kept one after a while. */
	#rest(key: string, connection: Connection): void {
		if (this.#connections.get(key) !== connection) {
			end(connection);
			return;
		}
		connection.idleTimer = setTimeout(() => this.#retire(key), idleMs);
		connection.idleTimer.unref();
	}

	#retire(key: string): void {
		const connection = this.#connections.get(key);
		this.#connections.delete(key);
		if (connection?.idleTimer) clearTimeout(connection.idleTimer);
		if (connection) end(connection);
	}
}

function end(connection: Connection): void {
	connection.endpoint.then(
		({ socket }) => socket.destroy(),
		() => {},
	);
}

/** A renewed peer keeps its id; a moved one has another address and so another connection. */
function keyOf({ hostId, address, port }: PeerAddress): string {
	return `${hostId} ${address} ${port}`;
}

function hostOfKey(key: string): string {
	return key.slice(0, 36);
}

function connectPeer(peer: PeerAddress, credentials: Credentials): Promise<{ endpoint: Endpoint; socket: TLSSocket }> {
	return new Promise((resolve, reject) => {
		const socket = connect({
			...credentials,
			host: peer.address,
			port: peer.port,
			minVersion: "TLSv1.3",
			rejectUnauthorized: true,
			checkServerIdentity: (_host, certificate) =>
				hostIdOfAltName(certificate.subjectaltname) === peer.hostId
					? undefined
					: new SternaError("forbidden", `another host answers at the address of ${peer.name}`),
		});
		const fail = (error: SternaError) => {
			clearTimeout(timer);
			socket.destroy();
			reject(error);
		};
		const timer = setTimeout(
			() => fail(offline(peer, `no answer within ${connectTimeoutMs / 1000} s`)),
			connectTimeoutMs,
		);
		socket.on("error", (cause) => fail(cause instanceof SternaError ? cause : offline(peer, cause.message, cause)));
		socket.once("close", () => fail(offline(peer, "it closed the connection")));
		socket.setNoDelay(true);
		socket.once("secureConnect", () => {
			const endpoint = endpointOver(socket, {
				program,
				onOpen: () => {
					clearTimeout(timer);
					resolve({ endpoint, socket });
				},
				onProtocolError: fail,
			});
		});
	});
}

function offline(peer: PeerAddress, why: string, cause?: Error): SternaError {
	return new SternaError(
		"host_offline",
		`host ${peer.name} cannot be reached at ${peer.address}:${peer.port}: ${why}`,
		{
			cause,
		},
	);
}
