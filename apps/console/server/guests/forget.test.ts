import { HostId, MigrationId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";
import { guestEntry, hostEntry } from "../testing/inventory-facts.ts";
import { refuseForget } from "./forget.ts";

const minute = 60_000;
const now = 1_800_000_000_000;
const gone = hostEntry("gull", { revokedAt: now - 6 * minute, connected: false });
const guest = guestEntry("web", gone);
const moving: GuestEntry = {
	...guest,
	grant: {
		...guest.grant,
		permit: {
			...{ migrationId: newId(MigrationId), epoch: 2, sourceHostId: gone.id, targetHostId: newId(HostId) },
			expiresAt: now,
		},
	},
};

test("a guest of a host that was revoked for a while is forgotten", () => {
	expect(refuseForget(guest, gone, now)).toBeNull();
});

test.each<[string, GuestEntry, Partial<HostEntry>, RegExp]>([
	["whose host is only silent", guest, { revokedAt: null }, /gull may come back with it/],
	["whose host is connected", guest, { connected: true }, /may come back/],
	["whose host was revoked a moment ago", guest, { revokedAt: now - minute }, /was revoked 1 min ago/],
	["whose host was revoked by a clock ahead of this one", guest, { revokedAt: now + minute }, /revoked 0 ms ago/],
	["whose last move may have brought it to its target", moving, {}, /its target may have it/],
	["that is being restored", { ...guest, existence: "restoring" }, {}, /it is being restored/],
])("a guest %s is not forgotten", (_, one, patch, reason) => {
	expect(refuseForget(one, { ...gone, ...patch }, now)?.message).toMatch(reason);
});
