import { chmod, chown } from "node:fs/promises";
import { createServer, isIP, type Server } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { SternaError } from "@sterna/shared/errors";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import { StreamConnection } from "./connection.ts";
import type { SourceOrder } from "./messages.ts";
import type { StreamEvents } from "./target.ts";

const connectTimeoutMs = 10_000;

/**
 * Opens the sending side: dials the target once per stream and shows the tickets at once, so that a target that cannot
 * be reached is known before anything is copied; then offers one unix socket per stream to QEMU, for one connection each.
 */
export async function openSource(
	order: SourceOrder,
	events: StreamEvents,
): Promise<{ port: number; tickets: Record<string, string> }> {
	await Promise.all(
		order.streams.map(async (stream) => {
			const connection = await dial(order, stream, events);
			await offer(order, stream.socketPath, connection);
		}),
	);
	return { port: order.port, tickets: {} };
}

/** Fulfilled when the target has accepted the ticket. */
function dial(
	order: SourceOrder,
	stream: { name: string; ticket: string },
	events: StreamEvents,
): Promise<StreamConnection> {
	return new Promise((resolve, reject) => {
		const { key, certificate, authority } = order.identity;
		const tls: TLSSocket = connect({
			host: order.address,
			port: order.port,
			...(isIP(order.address) ? {} : { servername: order.address }),
			key,
			cert: certificate,
			ca: authority,
			minVersion: "TLSv1.3",
			checkServerIdentity: (_name, peer) =>
				hostIdOfAltName(peer.subjectaltname) === order.peerHostId
					? undefined
					: new Error(`another host than ${order.peerHostId} answered`),
		});
		let isAccepted = false;
		const connection = new StreamConnection({
			name: stream.name,
			tls,
			times: order.times,
			events: {
				frame: (type) => {
					if (type !== "accepted" || isAccepted) {
						return connection.fail(new SternaError("invalid", `a stream carried an unexpected ${type} frame`));
					}
					isAccepted = true;
					clearTimeout(timer);
					events.opened(connection);
					resolve(connection);
				},
				ended: (error) => {
					clearTimeout(timer);
					if (!isAccepted) reject(error ?? new SternaError("unavailable", `the stream ${stream.name} ended early`));
					else if (error) events.failed(error);
					else events.finished(stream.name);
				},
			},
		});
		const timer = setTimeout(
			() => connection.fail(new SternaError("timeout", `the target did not open the stream ${stream.name} in time`)),
			connectTimeoutMs,
		);
		tls.once("secureConnect", () => connection.send("ticket", Buffer.from(stream.ticket, "base64url")));
	});
}

/** A unix socket that leads to the stream, for one connection; only the owner of QEMU's process may connect. */
async function offer(order: SourceOrder, socketPath: string, connection: StreamConnection): Promise<void> {
	const server = createServer({ allowHalfOpen: true }, (local) => {
		server.close();
		connection.send("open");
		connection.attach(local);
	});
	await listening(server, socketPath);
	await chmod(socketPath, 0o600);
	if (order.socketOwner) await chown(socketPath, order.socketOwner.uid, order.socketOwner.gid);
}

function listening(server: Server, socketPath: string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause) =>
			reject(new SternaError("unavailable", `cannot listen on ${socketPath}`, { cause })),
		);
		server.listen(socketPath, resolve);
	});
}
