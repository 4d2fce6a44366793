import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Headers that every answer carries. Next reads the nonce from the request's own policy header and puts it on its scripts;
 * styles may be inline because charts and the terminal set them on elements.
 */
export function secure(
	request: IncomingMessage,
	response: ServerResponse,
	{ development, https }: { development: boolean; https: boolean },
): void {
	const nonce = randomBytes(16).toString("base64");
	const policy = [
		"default-src 'self'",
		`script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${development ? " 'unsafe-eval'" : ""}`,
		"style-src 'self' 'unsafe-inline'",
		"img-src 'self' data:",
		"font-src 'self'",
		"connect-src 'self'",
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'none'",
	].join("; ");
	request.headers["content-security-policy"] = policy;
	response.setHeader("content-security-policy", policy);
	response.setHeader("x-content-type-options", "nosniff");
	response.setHeader("referrer-policy", "same-origin");
	response.setHeader("cross-origin-opener-policy", "same-origin");
	response.setHeader("permissions-policy", "camera=(), microphone=(), geolocation=()");
	if (https) response.setHeader("strict-transport-security", "max-age=31536000");
}

/** Headers that only Next itself may set; from outside they have been used to skip its middleware (CVE-2025-29927). */
const internalHeaders = ["x-middleware-subrequest", "x-middleware-subrequest-id", "x-nextjs-data", "x-invoke-path"];

export function dropInternalHeaders(request: IncomingMessage): void {
	for (const name of internalHeaders) delete request.headers[name];
	const raw = request.rawHeaders;
	for (let at = raw.length - 2; at >= 0; at -= 2) {
		if (internalHeaders.includes((raw[at] ?? "").toLowerCase())) raw.splice(at, 2);
	}
}
