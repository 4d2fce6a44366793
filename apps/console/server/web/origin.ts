import type { IncomingMessage } from "node:http";

/** The origins whose pages may change something: exactly these, as a browser writes them (RFC 6454 §6.2). */
export function allowedOrigins(options: { url: string | null; port: number; listen: string }): ReadonlySet<string> {
	if (options.url) return new Set([new URL(options.url).origin]);
	const names = new Set(["localhost", "127.0.0.1", "[::1]"]);
	if (!["0.0.0.0", "::", ""].includes(options.listen)) {
		names.add(options.listen.includes(":") ? `[${options.listen}]` : options.listen);
	}
	return new Set([...names].map((name) => new URL(`http://${name}:${options.port}`).origin));
}

/**
 * Whether a request that changes something, or opens a live connection, comes from one of our own pages. No Origin, `null`
 * and look-alikes are refused; so is a browser that says that another site sent it (Fetch Metadata).
 */
export function isFromOurPages(request: Pick<IncomingMessage, "headers">, allowed: ReadonlySet<string>): boolean {
	const { origin, "sec-fetch-site": site } = request.headers;
	if (site !== undefined && site !== "same-origin") return false;
	return typeof origin === "string" && allowed.has(origin);
}

/** A request line with a path (origin-form, RFC 9112 §3.2.1). A whole URL there has been used to make servers fetch it. */
export function isPath(url: string | undefined): url is string {
	return typeof url === "string" && url.startsWith("/") && !url.startsWith("//") && !url.includes("\\");
}
