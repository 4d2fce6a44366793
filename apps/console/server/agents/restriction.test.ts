import type { GuestGrant } from "@sterna/migration/grants";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { judgeGuest, judgeMigration, type KnownMove } from "./restriction.ts";

const [a, b, c] = [newId(HostId), newId(HostId), newId(HostId)];
const guestId = newId(GuestId);
const migrationId = newId(MigrationId);

const resting: GuestGrant = { guestId, ownerHostId: a, ownerEpoch: 4, highestEpoch: 4, permit: null };
const moving: GuestGrant = {
	...resting,
	highestEpoch: 5,
	permit: { migrationId, epoch: 5, sourceHostId: a, targetHostId: b, expiresAt: 0 },
};
const settled: GuestGrant = { guestId, ownerHostId: b, ownerEpoch: 5, highestEpoch: 5, permit: null };
const move: KnownMove = { guestId, epoch: 5, sourceHostId: a, targetHostId: b };

describe("a host that reports a guest", () => {
	test.each([
		["its own", a, "owner", 4, resting, [], "current"],
		["another host's", b, "owner", 4, resting, [], "foreign"],
		["another host's, under a higher epoch than was granted", b, "owner", 5, resting, [], "foreign"],
		["its own, under a higher epoch than was granted", a, "owner", 5, resting, [], "foreign"],
		["one that nobody knows", a, "owner", 1, undefined, [], "foreign"],
		["one that is leaving it", a, "owner", 4, moving, [move], "current"],
		["one that it receives", b, "incoming", 5, moving, [move], "current"],
		["one that it has taken over", b, "owner", 5, moving, [move], "current"],
		["one that it has released", a, "released", 5, moving, [move], "current"],
		["one that it receives, under another epoch", b, "incoming", 6, moving, [move], "foreign"],
		["one that somebody else receives", c, "incoming", 5, moving, [move], "foreign"],
		["one that somebody else takes over", c, "owner", 5, moving, [move], "foreign"],
		["one that left it a moment ago", a, "owner", 4, settled, [move], "stale"],
		["one that left it and is remembered", a, "released", 5, settled, [move], "stale"],
		["one that it claims under the new owner's epoch", a, "owner", 5, settled, [move], "foreign"],
		["one that it never had, under an old epoch", c, "owner", 4, settled, [move], "foreign"],
	] as const)("%s", (_, hostId, role, epoch, grant, moves, standing) => {
		expect(judgeGuest(hostId, { guestId, role, epoch }, grant, moves)).toBe(standing);
	});
});

describe("a host that reports a migration", () => {
	const report = { guestId, epoch: 5, sourceHostId: a, targetHostId: b };
	test.each([
		["the one it was told to do", a, report, move, "current"],
		["one it receives", b, report, move, "foreign"],
		["one that nobody ordered", a, report, undefined, "foreign"],
		["one to another host than ordered", a, { ...report, targetHostId: c }, move, "foreign"],
		["one of another guest", a, { ...report, guestId: newId(GuestId) }, move, "foreign"],
		["one under another epoch", a, { ...report, epoch: 6 }, move, "foreign"],
	] as const)("%s", (_, hostId, said, known, standing) => {
		expect(judgeMigration(hostId, said, known)).toBe(standing);
	});
});
