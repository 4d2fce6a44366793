import type { IncomingMessage, ServerResponse } from "node:http";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { nodeHTTPRequestHandler } from "@trpc/server/adapters/node-http";
import { fromNodeHeaders } from "better-auth/node";
import type { Console } from "../console.ts";
import type { Context, Session } from "../context.ts";
import { appRouter } from "../root.ts";
import { readBody } from "./body.ts";
import { isFromOurPages } from "./origin.ts";

export const trpcPath = "/api/trpc/";
export const maxBatch = 20;
const maxBodyBytes = 1024 * 1024;
const maxUrlLength = 16 * 1024;

export interface TrpcDoorOptions {
	console: Console;
	/** Null on the local socket, which no browser can reach. */
	origins: ReadonlySet<string> | null;
	/** Who calls, on a door that proves it by itself (the local socket); the session's cookie decides otherwise. */
	caller: Session | null;
}

/** Queries and mutations over HTTP. What is refused here never reaches a procedure. */
export async function answerTrpc(
	request: IncomingMessage,
	response: ServerResponse,
	{ console, origins, caller }: TrpcDoorOptions,
): Promise<void> {
	try {
		const url = request.url ?? "";
		if (url.length > maxUrlLength) throw new SternaError("invalid", "the address is too long");
		const { pathname, searchParams } = new URL(url, "http://console");
		const path = pathname.slice(trpcPath.length);
		if (path.split(",").length > maxBatch) {
			throw new SternaError("invalid", `more than ${maxBatch} procedures in one batch`);
		}
		if (request.method === "POST") {
			if (origins && !isFromOurPages(request, origins)) {
				throw new SternaError("forbidden", "this request does not come from a page of this console");
			}
			if (!/^application\/json(;\s*charset=utf-8)?$/i.test(request.headers["content-type"] ?? "")) {
				throw new SternaError("invalid", "the body must be application/json");
			}
			const body = await readBody(request, maxBodyBytes);
			if (body !== "") parseJson(body);
			Object.assign(request, { body });
		} else if (request.method === "GET") {
			const input = searchParams.get("input");
			if (input !== null) parseJson(input);
		} else throw new SternaError("invalid", "queries are GET or POST, mutations are POST");
		await nodeHTTPRequestHandler({
			router: appRouter,
			req: request,
			res: response,
			path,
			maxBatchSize: maxBatch,
			createContext: () => httpContext(console, request, response, caller),
			onError: ({ error, path: procedure }) => {
				if (error.code === "INTERNAL_SERVER_ERROR") console.log.error({ err: error, procedure }, "request failed");
			},
		});
	} catch (thrown) {
		refuse(response, asSternaError(thrown));
	}
}

function httpContext(
	console: Console,
	request: IncomingMessage,
	response: ServerResponse,
	caller: Session | null,
): Context {
	const headers = fromNodeHeaders(request.headers);
	let session: Promise<Session | null> | null = caller ? Promise.resolve(caller) : null;
	return {
		console,
		transport: "http",
		headers,
		clientAddress: request.socket.remoteAddress ?? "local",
		session: () => {
			session ??= console.people.sessionOf(headers);
			return session;
		},
		setCookie: (cookie) => {
			response.appendHeader("set-cookie", cookie);
		},
	};
}

/** In the form of a tRPC error, so that our own client shows the sentence. */
export function refuse(response: ServerResponse, error: SternaError): void {
	if (response.headersSent) return void response.destroy();
	const status = { forbidden: 403, unauthenticated: 401, not_found: 404, invalid: 400 }[error.code as string] ?? 500;
	const code =
		{ 403: "FORBIDDEN", 401: "UNAUTHORIZED", 404: "NOT_FOUND", 400: "BAD_REQUEST" }[status] ?? "INTERNAL_SERVER_ERROR";
	const body = {
		error: { message: error.message, code: -32600, data: { code, httpStatus: status, sterna: error.toWire() } },
	};
	response.writeHead(status, { "content-type": "application/json", connection: "close" }).end(JSON.stringify(body));
}
