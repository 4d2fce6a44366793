import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { fromNodeHeaders } from "better-auth/node";
import type { Console } from "../console.ts";
import type { Session } from "../context.ts";
import { dropInternalHeaders, secure } from "./headers.ts";
import { allowedOrigins, isPath } from "./origin.ts";
import { answerTrpc, trpcPath } from "./trpc-door.ts";
import { makeUpgrades, type Upgrades } from "./upgrades.ts";

/** The pages, as Next answers them. */
export interface Pages {
	answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
	/** Only in development: Next's own live connection. */
	upgrade: Upgrades["handle"] | null;
}

export interface WebServer {
	port: number;
	close(): Promise<void>;
}

/** Where browsers come in. Every request passes here before a procedure or a page sees it. */
export async function listenWeb(console: Console, pages: Pages | null): Promise<WebServer> {
	const { environment, log } = console;
	const https = environment.url?.startsWith("https:") ?? false;
	const server = createServer({ maxHeaderSize: 32 * 1024, requestTimeout: 60_000 });
	await listen(server, () => server.listen(environment.port, environment.listen));
	const address = server.address();
	const port = typeof address === "object" && address ? address.port : environment.port;
	const origins = allowedOrigins({ url: environment.url, port, listen: environment.listen });
	const upgrades = makeUpgrades(console, { origins, other: pages?.upgrade ?? null });
	server.on("request", (request, response) => {
		dropInternalHeaders(request);
		secure(request, response, { development: environment.development, https });
		if (!isPath(request.url)) return answerText(response, 400, "the request target must be a path");
		const { pathname } = new URL(request.url, "http://console");
		if (pathname === "/healthz") return answerJson(response, { ok: true });
		if (pathname.startsWith(trpcPath)) return void answerTrpc(request, response, { console, origins, caller: null });
		if (pathname.startsWith(filesPath) && request.method === "GET") {
			const ticket = pathname.slice(filesPath.length);
			return void sendFile(console, ticket, request, response).catch((err) => {
				log.error({ err }, "file not sent");
				response.destroy();
			});
		}
		if (!pages) return answerText(response, 404, "this console serves no pages");
		pages.answer(request, response).catch((err) => {
			log.error({ err, pathname }, "page failed");
			if (response.headersSent) response.destroy();
			else answerText(response, 500, "the page failed; the log of this console names why");
		});
	});
	server.on("upgrade", (request, socket, head) => {
		dropInternalHeaders(request);
		upgrades.handle(request, socket, head);
	});
	return {
		port,
		close: () => {
			upgrades.close();
			return closeServer(server);
		},
	};
}

const filesPath = "/api/files/";

/** A file out of a backup, for the ticket in its address. */
async function sendFile(console: Console, ticket: string, request: IncomingMessage, response: ServerResponse) {
	const session = await console.people.sessionOf(fromNodeHeaders(request.headers));
	await console.backups.downloads.answer(ticket, session, response);
}

/** The person at this machine: who can open the socket is the console's own user or root. */
const local: Session = {
	id: "local",
	user: { userId: "local", name: "local admin", email: "local@localhost", role: "admin" },
};

/** The same API on a unix socket with mode 0600, without signing in: for the command line and the demo. */
export async function listenLocal(console: Console): Promise<WebServer> {
	const path = console.environment.apiSocket;
	rmSync(path, { force: true });
	const server = createServer((request, response) => {
		if (request.url === "/healthz") return answerJson(response, { ok: true });
		if (!isPath(request.url) || !request.url.startsWith(trpcPath))
			return answerText(response, 404, "only the API is here");
		void answerTrpc(request, response, { console, origins: null, caller: local });
	});
	const before = process.umask(0o077);
	try {
		await listen(server, () => server.listen(path));
	} finally {
		process.umask(before);
	}
	chmodSync(path, 0o600);
	return { port: 0, close: () => closeServer(server) };
}

function listen(server: Server, start: () => void): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.once("listening", resolve);
		start();
	});
}

function closeServer(server: Server): Promise<void> {
	return new Promise((resolve) => {
		server.close(() => resolve());
		server.closeAllConnections();
	});
}

function answerJson(response: ServerResponse, body: unknown): void {
	response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function answerText(response: ServerResponse, status: number, sentence: string): void {
	response.writeHead(status, { "content-type": "text/plain; charset=utf-8", connection: "close" }).end(sentence);
}
