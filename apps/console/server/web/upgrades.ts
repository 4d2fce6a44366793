import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { applyWSSHandler } from "@trpc/server/adapters/ws";
import { fromNodeHeaders } from "better-auth/node";
import { WebSocketServer } from "ws";
import type { Console } from "../console.ts";
import type { Session } from "../context.ts";
import { appRouter } from "../root.ts";
import { isFromOurPages, isPath } from "./origin.ts";

const maxFrameBytes = 64 * 1024;
/** Tabs of one person that listen at the same time. */
const maxSocketsPerSession = 40;

export interface Upgrades {
	/** Takes over the connection, or refuses it. */
	handle(request: IncomingMessage, socket: Duplex, head: Buffer): void;
	close(): void;
}

/**
 * The two live doors for browsers: `/trpc-ws` (subscriptions) and `/serial`. Both want an Origin of ours and a session,
 * before the WebSocket exists; both are closed when the session ends.
 */
export function makeUpgrades(
	console: Console,
	{ origins, other }: { origins: ReadonlySet<string>; other: Upgrades["handle"] | null },
): Upgrades {
	const options = { noServer: true, maxPayload: maxFrameBytes, perMessageDeflate: false } as const;
	const live = new WebSocketServer(options);
	const serial = new WebSocketServer(options);
	const { people } = console;
	const counts = new Map<string, number>();
	const trpc = applyWSSHandler({
		wss: live,
		router: appRouter,
		keepAlive: { enabled: true, pingMs: 15_000, pongWaitMs: 10_000 },
		createContext: ({ req }) => {
			const headers = fromNodeHeaders(req.headers);
			return {
				console,
				transport: "webSocket" as const,
				headers,
				clientAddress: req.socket.remoteAddress ?? "",
				session: () => people.sessionOf(headers),
				setCookie: () => {},
			};
		},
	});

	const open = (request: IncomingMessage, socket: Duplex, head: Buffer, door: WebSocketServer, session: Session) => {
		const count = counts.get(session.id) ?? 0;
		if (count >= maxSocketsPerSession) return refuseUpgrade(socket, 429, "too many live connections");
		door.handleUpgrade(request, socket, head, (webSocket) => {
			counts.set(session.id, count + 1);
			const forget = people.onSessionEnd(session.id, () => webSocket.close(4401, "signed out"));
			webSocket.on("error", () => webSocket.terminate());
			webSocket.once("close", () => {
				forget();
				const left = (counts.get(session.id) ?? 1) - 1;
				if (left > 0) counts.set(session.id, left);
				else counts.delete(session.id);
			});
			if (door === live) live.emit("connection", webSocket, request);
			else console.serial.admit(webSocket, session, fromNodeHeaders(request.headers));
		});
	};

	return {
		handle: (request, socket, head) => {
			socket.on("error", () => socket.destroy());
			if (!isPath(request.url)) return refuseUpgrade(socket, 400, "the request target must be a path");
			const { pathname } = new URL(request.url, "http://console");
			const door = pathname === "/trpc-ws" ? live : pathname === "/serial" ? serial : null;
			if (!door)
				return other ? other(request, socket, head) : refuseUpgrade(socket, 404, "there is no live connection here");
			if (!isFromOurPages(request, origins)) {
				return refuseUpgrade(socket, 403, "this connection does not come from a page of this console");
			}
			people.sessionOf(fromNodeHeaders(request.headers)).then(
				(session) => {
					if (session) open(request, socket, head, door, session);
					else refuseUpgrade(socket, 401, "nobody is signed in");
				},
				(err) => {
					console.log.error({ err }, "session not read");
					refuseUpgrade(socket, 503, "the session cannot be read");
				},
			);
		},
		close: () => {
			trpc.broadcastReconnectNotification();
			for (const door of [live, serial]) for (const client of door.clients) client.close(1012, "the console restarts");
		},
	};
}

function refuseUpgrade(socket: Duplex, status: number, sentence: string): void {
	socket.end(
		`HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain\r\ncontent-length: ${sentence.length}\r\nconnection: close\r\n\r\n${sentence}`,
	);
}
