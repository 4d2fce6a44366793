import { expect, test } from "vitest";
import { guestEntry, hostEntry } from "../testing/inventory-facts.ts";
import { whyLost } from "./run-rules.ts";

const away = { connected: false, silentSince: 1 };
const gull = hostEntry("gull", away);

test("a run goes on once its silent host is back with the guest", () => {
	expect(whyLost(gull, guestEntry("web", gull))).toBeNull();
});

test("a run whose guest lives elsewhere by now, or nowhere, is given up", () => {
	expect(whyLost(gull, guestEntry("web", hostEntry("tern")))?.message).toMatch(/does not have the guest any more/);
	expect(whyLost(gull, undefined)?.message).toMatch(/gull is out of reach/);
});

test("a run at a revoked host is given up", () => {
	const revoked = hostEntry("gull", { ...away, revokedAt: 1 });
	expect(whyLost(revoked, guestEntry("web", revoked))?.message).toMatch(/was revoked/);
});
