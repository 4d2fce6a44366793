import { describe, expect, test } from "vitest";
import { allowedOrigins, isFromOurPages, isPath } from "./origin.ts";

const local = allowedOrigins({ url: null, port: 3000, listen: "127.0.0.1" });
const proxied = allowedOrigins({ url: "https://console.example/", port: 3000, listen: "127.0.0.1" });

describe("a live connection or a change", () => {
	test.each([
		["our own page", "http://localhost:3000", undefined, true],
		["our own page, by address", "http://127.0.0.1:3000", "same-origin", true],
		["no Origin", undefined, undefined, false],
		["a sandboxed page", "null", undefined, false],
		["another site", "http://evil.example", undefined, false],
		["another port", "http://localhost:3001", undefined, false],
		["the other scheme", "https://localhost:3000", undefined, false],
		["a name that begins like ours", "http://localhost:3000.evil.example", undefined, false],
		["a name that ends like ours", "http://evil-localhost:3000", undefined, false],
		["ours with a path", "http://localhost:3000/", undefined, false],
		["ours in capitals", "HTTP://LOCALHOST:3000", undefined, false],
		["our origin, but the browser says another site", "http://localhost:3000", "cross-site", false],
		["our origin, but the browser says a sister name", "http://localhost:3000", "same-site", false],
	])("from %s: %s %s → %s", (_, origin, site, allowed) => {
		const headers = { ...(origin ? { origin } : {}), ...(site ? { "sec-fetch-site": site } : {}) };
		expect(isFromOurPages({ headers }, local)).toBe(allowed);
	});

	test("behind a proxy only the outer name counts", () => {
		expect(isFromOurPages({ headers: { origin: "https://console.example" } }, proxied)).toBe(true);
		expect(isFromOurPages({ headers: { origin: "https://x.console.example" } }, proxied)).toBe(false);
		expect(isFromOurPages({ headers: { origin: "http://localhost:3000" } }, proxied)).toBe(false);
	});
});

test.each([
	["/", true],
	["/hosts?x=1", true],
	["http://169.254.169.254/latest", false],
	["//evil.example/", false],
	["/\\evil.example", false],
	["*", false],
	[undefined, false],
])("the request target %s is a path: %s", (url, expected) => {
	expect(isPath(url)).toBe(expected);
});
