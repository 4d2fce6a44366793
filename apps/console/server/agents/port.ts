import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { basename, join } from "node:path";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { asSternaError, type ErrorCode, SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { hostIdOfAltName, JoinRequest, RenewRequest } from "@sterna/shared/protocol/join";
import { maxFrameLength } from "@sterna/shared/protocol/messages";
import type { Logger } from "pino";
import { WebSocketServer } from "ws";
import type { Authority } from "../authority/authority.ts";
import type { Admission } from "../hosts/admission.ts";
import { readBody } from "../web/body.ts";
import { isPath } from "../web/origin.ts";
import type { AgentHub } from "./hub.ts";
import { installScript, sendFile } from "./install.ts";

export interface AgentPortOptions {
	authority: Authority;
	admission: Admission;
	hub: AgentHub;
	log: Logger;
	/** Names and addresses that agents may dial. */
	names: readonly string[];
	/** What the install script dials. */
	address: () => string;
	/** Folder of the agent's bundle. */
	agentDir: string;
}

const maxBodyBytes = 64 * 1024;
const sweepMs = 30_000;

const statusOf: Partial<Record<ErrorCode, number>> = {
	invalid: 400,
	unauthenticated: 401,
	forbidden: 403,
	not_found: 404,
	conflict: 409,
	wrong_state: 409,
	unavailable: 503,
};

/**
 * Where agents come in: TLS with the pinned key. Joining needs a token; renewing and the WebSocket need the host's own
 * certificate, whose host must not be revoked: that is looked up at every connect, and again every 30 s.
 */
export class AgentPort {
	readonly #options: AgentPortOptions;
	readonly #server: Server;
	readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: maxFrameLength, perMessageDeflate: false });
	readonly #sweep: NodeJS.Timeout;

	private constructor(options: AgentPortOptions, server: Server) {
		this.#options = options;
		this.#server = server;
		server.on("request", (request, response) => void this.#answer(request, response));
		server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
		server.on("tlsClientError", (err) => options.log.debug({ err }, "TLS handshake failed"));
		this.#sweep = setInterval(() => options.hub.sweep((hostId) => options.admission.isRefused(hostId)), sweepMs);
		this.#sweep.unref();
	}

	/** Listens on `port` (0: a free one). */
	static async listen(options: AgentPortOptions, listen: { address: string; port: number }): Promise<AgentPort> {
		const credentials = await options.authority.serverCredentials(options.names);
		const server = createServer({
			...credentials,
			ca: options.authority.certificatePem,
			requestCert: true,
			rejectUnauthorized: false,
			minVersion: "TLSv1.3",
			maxHeaderSize: 16 * 1024,
			requestTimeout: 60_000,
		});
		const port = new AgentPort(options, server);
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(listen.port, listen.address, resolve);
		});
		return port;
	}

	get port(): number {
		const address = this.#server.address();
		return typeof address === "object" && address ? address.port : 0;
	}

	async close(): Promise<void> {
		clearInterval(this.#sweep);
		this.#options.hub.close();
		await new Promise<void>((resolve) => {
			this.#server.close(() => resolve());
			this.#server.closeAllConnections();
		});
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		try {
			const answer = await this.#route(request, response);
			if (answer !== undefined) sendJson(response, 200, answer);
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (error.code === "internal") this.#options.log.error({ err: thrown, url: request.url }, "agent request failed");
			if (response.headersSent) response.destroy();
			else sendJson(response, statusOf[error.code] ?? 500, error.toWire());
		}
	}

	/** The answer as JSON; undefined when it was sent already. */
	async #route(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
		const { admission, agentDir, authority } = this.#options;
		switch (`${request.method} ${request.url}`) {
			case "POST /join": {
				const clientAddress = request.socket.remoteAddress ?? "";
				return admission.join(JoinRequest.parse(await readJson(request)), clientAddress);
			}
			case "POST /renew": {
				const { hostId } = provedHost(request.socket as TLSSocket);
				const { certificateRequest } = RenewRequest.parse(await readJson(request));
				return admission.renew(hostId, certificateRequest);
			}
			case "GET /agent/install.sh": {
				const script = installScript({ address: this.#options.address(), port: this.port, pin: authority.pin });
				response.writeHead(200, { "content-type": "text/x-shellscript; charset=utf-8" }).end(script);
				return undefined;
			}
			case "GET /agent/sterna-agent.js":
			case "GET /agent/stream-worker.js":
				await sendFile(response, join(agentDir, basename(request.url ?? "")), "the agent's bundle");
				return undefined;
			case "GET /agent/runtime":
				await sendFile(response, process.execPath, "a Node runtime");
				return undefined;
			default:
				throw new SternaError("not_found", "there is nothing at this address of the agent port");
		}
	}

	#upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
		socket.on("error", () => socket.destroy());
		try {
			if (!isPath(request.url) || request.url !== "/agent")
				throw new SternaError("not_found", "agents connect at /agent");
			const { hostId, expiresAt } = provedHost(request.socket as TLSSocket);
			this.#options.admission.admit(hostId);
			this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
				void this.#options.hub.admit(hostId, webSocket, expiresAt);
			});
		} catch (thrown) {
			const error = asSternaError(thrown);
			const body = JSON.stringify(error.toWire());
			socket.end(
				`HTTP/1.1 ${statusOf[error.code] ?? 500} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
			);
		}
	}
}

/** The host that the client certificate proves. @throws {SternaError} `unauthenticated`. */
function provedHost(socket: TLSSocket): { hostId: HostId; expiresAt: number } {
	const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
	const hostId = hostIdOfAltName(certificate?.subjectAltName);
	if (!certificate || !hostId) {
		throw new SternaError("unauthenticated", "this needs the certificate of a host that has joined", {
			cure: "join this server again",
		});
	}
	return { hostId, expiresAt: certificate.validToDate.getTime() };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
	if (request.headers["content-type"] !== "application/json") {
		throw new SternaError("invalid", "the body must be application/json");
	}
	return parseJson(await readBody(request, maxBodyBytes));
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
	response.writeHead(status, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(body));
}
