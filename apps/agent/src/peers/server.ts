import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import type { Handlers } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import type { Credentials } from "../context.ts";
import { program } from "../version.ts";
import { endpointOver } from "../wire/endpoint.ts";
import type { Revocations } from "./revocations.ts";

const maxConnections = 512;
const handshakeTimeoutMs = 10_000;
const keepAliveMs = 15_000;

export interface PeerServer {
	readonly port: number;
	/** Takes a renewed certificate; open connections stay. */
	renew(credentials: Credentials): void;
	close(): Promise<void>;
}

/**
 * Serves peer agents: TLS 1.3, a certificate of the same authority required, the caller's host id taken from it and
 * from nowhere else. Revoked hosts are refused, and dropped when they are revoked while connected.
 * @throws when the port is taken.
 */
export function listenForPeers(options: {
	address: string;
	port: number;
	credentials: Credentials;
	/** Peers that come before the agent is ready wait for it. */
	handlers: Promise<Handlers>;
	revocations: Revocations;
	log: Logger;
}): Promise<PeerServer> {
	const { revocations } = options;
	const log = options.log.child({ part: "peers" });
	const open = new Map<TLSSocket, string>();
	const server = createServer({ ...tlsOf(options.credentials), handshakeTimeout: handshakeTimeoutMs });
	server.maxConnections = maxConnections;
	server.on("tlsClientError", (error) => log.warn({ reason: error.message }, "peer refused: no valid certificate"));
	server.on("secureConnection", (socket) => {
		socket.on("error", (error) => log.debug({ reason: error.message }, "peer connection broke"));
		const hostId = hostIdOfAltName(socket.getPeerCertificate().subjectaltname);
		if (!hostId || revocations.has(hostId)) {
			log.warn(
				{ hostId },
				hostId ? "peer refused: its host is revoked" : "peer refused: its certificate names no host",
			);
			socket.destroy();
			return;
		}
		open.set(socket, hostId);
		socket.once("close", () => open.delete(socket));
		socket.setKeepAlive(true, keepAliveMs);
		socket.setNoDelay(true);
		const peerLog = log.child({ peerHostId: hostId });
		void options.handlers.then((handlers) =>
			endpointOver(socket, {
				program,
				handlers,
				caller: { audience: "peer", hostId },
				onProtocolError: (error) => peerLog.warn({ err: error }, "peer broke the protocol"),
				onHandlerError: (command, err) => peerLog.error({ command, err }, "command failed"),
			}),
		);
	});
	revocations.onChange(() => {
		for (const [socket, hostId] of open) if (revocations.has(hostId)) socket.destroy();
	});
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(options.port, options.address, () => {
			server.off("error", reject);
			server.on("error", (err) => log.error({ err }, "peer server failed"));
			resolve({
				port: (server.address() as AddressInfo).port,
				renew: (credentials) => server.setSecureContext(tlsOf(credentials)),
				close: () => {
					for (const socket of open.keys()) socket.destroy();
					return new Promise((closed) => server.close(() => closed()));
				},
			});
		});
	});
}

function tlsOf({ key, cert, ca }: Credentials) {
	return { key, cert, ca, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" } as const;
}
