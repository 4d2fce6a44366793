import { expect, test } from "vitest";
import { hostEntry } from "../testing/inventory-facts.ts";
import { whyNeverBack, whyNotWaitedFor } from "./never-back.ts";

const hour = 3_600_000;
const now = 1_800_000_000_000;
const away = { connected: false, silentSince: now - hour };

test("a host that is only silent may come back, however long it was away", () => {
	expect(whyNeverBack(hostEntry("gull", { connected: false, silentSince: now - 10_000 * hour }))).toBeNull();
});

test("a revoked host never comes back, once its connection is over", () => {
	expect(whyNeverBack(hostEntry("gull", { revokedAt: now }))).toBeNull();
	expect(whyNeverBack(hostEntry("gull", { ...away, revokedAt: now }))?.message).toMatch(/gull was revoked/);
});

test("what can be begun anew elsewhere does not wait for a host that was silent for hours", () => {
	expect(whyNotWaitedFor(hostEntry("gull"), now)).toBeNull();
	expect(whyNotWaitedFor(hostEntry("gull", away), now)).toBeNull();
	expect(whyNotWaitedFor(hostEntry("gull", { ...away, silentSince: now - 6 * hour }), now)?.message).toMatch(
		/gull was not heard for 6 h/,
	);
	expect(whyNotWaitedFor(hostEntry("gull", { ...away, revokedAt: now }), now)?.message).toMatch(/was revoked/);
});
