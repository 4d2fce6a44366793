import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Pages } from "./web-server.ts";

/**
 * Next, for pages only. It is given a server of its own that never listens: otherwise it would attach itself to ours at
 * the first request and end every WebSocket that it does not know.
 */
export async function startPages(options: {
	dir: string;
	development: boolean;
	port: number;
}): Promise<Pages & { close(): Promise<void> }> {
	const { default: next } = await import("next");
	const unheard = createServer();
	const app = next({
		dev: options.development,
		dir: options.dir,
		hostname: "localhost",
		port: options.port,
		httpServer: unheard,
	});
	const handle = app.getRequestHandler();
	await app.prepare();
	return {
		answer: (request, response) => handle(request, response),
		upgrade: options.development
			? (request: IncomingMessage, socket: Duplex, head: Buffer) => {
					if (request.url?.startsWith("/_next/")) unheard.emit("upgrade", request, socket, head);
					else socket.destroy();
				}
			: null,
		close: () => app.close(),
	};
}
