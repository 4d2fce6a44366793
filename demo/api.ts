import { request } from "node:http";
import type { AppRouter } from "@sterna/console/server/root";
import { createTRPCClient, httpBatchLink } from "@trpc/client";

/** The console's API as the person at this machine: over its unix socket, which only root or its own user can open. */
export function consoleApi(socketPath: string) {
	return createTRPCClient<AppRouter>({
		links: [httpBatchLink({ url: "http://console/api/trpc", fetch: fetchOver(socketPath) })],
	});
}
export type ConsoleApi = ReturnType<typeof consoleApi>;

interface FetchInit {
	method?: string | undefined;
	headers?: RequestInit["headers"] | undefined;
	body?: unknown;
	signal?: AbortSignal | null | undefined;
}

/** `fetch` that dials a unix socket whatever host the URL names. */
function fetchOver(socketPath: string) {
	return (input: string | URL | Request, init?: FetchInit) =>
		new Promise<Response>((resolve, reject) => {
			const { pathname, search } = new URL(input instanceof Request ? input.url : input);
			const headers = Object.fromEntries(new Headers(init?.headers));
			const call = request(
				{ socketPath, path: pathname + search, method: init?.method ?? "GET", headers },
				(answer) => {
					const chunks: Buffer[] = [];
					answer.on("data", (chunk: Buffer) => chunks.push(chunk));
					answer.on("error", reject);
					answer.on("end", () => resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode ?? 500 })));
				},
			);
			call.on("error", reject);
			init?.signal?.addEventListener("abort", () => call.destroy(new Error("aborted")));
			call.end(typeof init?.body === "string" ? init.body : undefined);
		});
}
