import { randomInt } from "node:crypto";
import { connect } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { SternaError } from "@sterna/shared/errors";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import { StreamConnection } from "./connection.ts";
import type { TargetOrder } from "./messages.ts";
import { TicketBook } from "./ticket.ts";

export interface StreamEvents {
	opened(connection: StreamConnection): void;
	finished(stream: string): void;
	refused(reason: string): void;
	failed(thrown: unknown): void;
}

/** A connection must show its ticket within this time, handshake included. */
const ticketDeadlineMs = 5000;

/**
 * Opens the door of the receiving side: a TLS 1.3 listener for one peer. It closes by itself when every ticket is used
 * or their time is over, so that the port is open for seconds, not for the length of the transfer.
 */
export async function openTarget(
	order: TargetOrder,
	events: StreamEvents,
): Promise<{ port: number; tickets: Record<string, string> }> {
	const book = new TicketBook(order.times.ticketLifetimeMs);
	const socketPaths = new Map(order.streams.map(({ name, socketPath }) => [name, socketPath]));
	const tickets = Object.fromEntries([...socketPaths.keys()].map((name) => [name, book.issue(name)]));
	const { key, certificate, authority } = order.identity;
	const server = createServer({
		key,
		cert: certificate,
		ca: authority,
		minVersion: "TLSv1.3",
		requestCert: true,
		rejectUnauthorized: true,
		handshakeTimeout: ticketDeadlineMs,
	});
	server.maxConnections = socketPaths.size + 8;
	server.on("tlsClientError", (error) => events.refused(`a connection failed its handshake: ${error.message}`));
	server.on("secureConnection", (tls) => {
		const hostId = hostIdOfAltName(tls.getPeerCertificate().subjectaltname);
		if (hostId !== order.peerHostId) {
			events.refused(`host ${hostId ?? "without an id"} came instead of ${order.peerHostId}`);
			tls.on("error", () => {}).destroy();
			return;
		}
		welcome(tls);
	});

	/** Nothing reaches QEMU's socket before the ticket is redeemed and the source says that its QEMU is there. */
	function welcome(tls: TLSSocket): void {
		let stream: string | null = null;
		let timer: NodeJS.Timeout | null = null;
		const connection = new StreamConnection({
			name: "of an unknown caller",
			tls,
			times: order.times,
			events: {
				frame: (type, content) => {
					if (type === "ticket" && stream === null) redeem(content);
					else if (type === "open" && stream !== null) open(stream);
					else connection.fail(new SternaError("invalid", `a stream carried an unexpected ${type} frame`));
				},
				ended: (error) => {
					if (timer) clearTimeout(timer);
					if (stream === null) events.refused(error?.message ?? "a connection ended before it showed a ticket");
					else if (error) events.failed(error);
					else events.finished(stream);
				},
			},
		});
		const refuse = (reason: string) => connection.fail(new SternaError("forbidden", reason));
		timer = setTimeout(() => refuse("a connection showed no ticket in time"), ticketDeadlineMs);

		function redeem(ticket: Buffer): void {
			const outcome = book.redeem(ticket);
			if ("refused" in outcome) {
				refuse(outcome.refused);
				return;
			}
			if (timer) clearTimeout(timer);
			stream = outcome.stream;
			connection.name = outcome.stream;
			events.opened(connection);
			// Before the word that the last one is in: who hears it finds the port closed.
			if (book.exhausted) server.close();
			connection.send("accepted");
		}
		function open(name: string): void {
			const socketPath = socketPaths.get(name);
			if (socketPath) connection.attach(connect({ path: socketPath, allowHalfOpen: true }));
		}
	}

	const port = await listen(server, order);
	setTimeout(() => server.close(), order.times.ticketLifetimeMs);
	return { port, tickets };
}

/** A free port of the range, beginning anywhere in it. @throws {SternaError} `no_capacity` when all are taken. */
async function listen(server: Server, { listenAddress, portRange }: TargetOrder): Promise<number> {
	const count = portRange.to - portRange.from + 1;
	const first = randomInt(count);
	for (let tried = 0; tried < count; tried++) {
		const port = portRange.from + ((first + tried) % count);
		if (await listensOn(server, port, listenAddress)) return port;
	}
	throw new SternaError("no_capacity", `no port from ${portRange.from} to ${portRange.to} is free for a migration`, {
		cure: "wait for another migration to end or widen streamPorts in the agent's configuration",
	});
}

function listensOn(server: Server, port: number, address: string): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const onError = (error: NodeJS.ErrnoException) => {
			server.off("listening", onListening);
			if (error.code === "EADDRINUSE") resolve(false);
			else
				reject(
					new SternaError("unavailable", `cannot listen on ${address} port ${port}`, {
						cause: error,
					}),
				);
		};
		const onListening = () => {
			server.off("error", onError);
			resolve(true);
		};
		server.once("error", onError).once("listening", onListening).listen(port, address);
	});
}
