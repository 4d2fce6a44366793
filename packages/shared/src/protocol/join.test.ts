import { expect, test } from "vitest";
import { HostId, newId } from "../ids.ts";
import { formatJoinString, hostIdOfAltName, hostUri, parseJoinString } from "./join.ts";

const good = { address: "console.example.net", port: 8443, pin: "p".repeat(43), secret: "s".repeat(43) };

test("a join string is read back as it was written", () => {
	expect(parseJoinString(` ${formatJoinString(good)}\n`)).toEqual(good);
});

test.each([
	["another product's token", "dv1:x:1:a:b"],
	["a half line", formatJoinString(good).slice(0, -1)],
	["a port beyond 65535", formatJoinString({ ...good, port: 70_000 })],
	["a command as the address", formatJoinString({ ...good, address: "$(reboot)" })],
])("%s is refused, and the secret is not repeated", (_what, text) => {
	expect(() => parseJoinString(text)).toThrow("not a join string");
});

test("a host is known by the URI of its certificate and nothing else", () => {
	const hostId = newId(HostId);
	expect(hostIdOfAltName(`DNS:x, URI:${hostUri(hostId)}`)).toBe(hostId);
	expect(hostIdOfAltName(`DNS:${hostUri(hostId)}`)).toBeNull();
	expect(hostIdOfAltName("URI:sterna://host/../..")).toBeNull();
	expect(hostIdOfAltName(undefined)).toBeNull();
});
