import { MigrationId, newId } from "@sterna/shared/ids";
import { describe, expect, it } from "vitest";
import {
	clockSlackMs,
	firstGrant,
	type GuestGrant,
	grantMove,
	type OwnershipReport,
	ownershipReport,
	settle,
	settleAll,
} from "./grants.ts";
import { guestIdFor, hostIdFor } from "./testing/facts.ts";

const [a, b, c] = [hostIdFor(1), hostIdFor(2), hostIdFor(3)] as const;
const migrationId = newId(MigrationId);
const expiresAt = 1_000_000;

function moving(): GuestGrant {
	const granted = grantMove(firstGrant(guestIdFor(1), a), { migrationId, targetHostId: b, expiresAt });
	if (granted.verdict === "refuse") throw new Error(granted.message);
	return granted.grant;
}

const report = (patch: Partial<OwnershipReport>): OwnershipReport => ({
	hostId: a,
	role: "owner",
	epoch: 1,
	migrationId: null,
	endedMigrationIds: [],
	...patch,
});

describe("a grant", () => {
	it("is one higher than any before, and there is one at a time", () => {
		const grant = moving();
		expect(grant).toMatchObject({
			highestEpoch: 2,
			ownerEpoch: 1,
			permit: { epoch: 2, sourceHostId: a, targetHostId: b },
		});
		expect(grantMove(grant, { migrationId: newId(MigrationId), targetHostId: c, expiresAt })).toMatchObject({
			verdict: "refuse",
			code: "conflict",
		});
	});

	it("is refused to the host that has the guest", () => {
		expect(grantMove(firstGrant(guestIdFor(1), a), { migrationId, targetHostId: a, expiresAt }).verdict).toBe("refuse");
	});

	it("goes to the target that says it owns the guest under the new epoch", () => {
		const { grant, settled } = settle(moving(), report({ hostId: b, epoch: 2 }), 0);
		expect(settled).toBe("handedOver");
		expect(grant).toMatchObject({ ownerHostId: b, ownerEpoch: 2, permit: null });
	});

	it("stays open while the source moves the guest, has released it, or the target is filled", () => {
		for (const word of [
			report({ migrationId }),
			report({}),
			report({ role: "released", epoch: 2, migrationId }),
			report({ hostId: b, role: "incoming", epoch: 2, migrationId }),
		]) {
			expect(settle(moving(), word, expiresAt)).toMatchObject({ settled: null, grant: { permit: { epoch: 2 } } });
		}
	});

	it("is over when the source says that the move ended; its epoch is never used again", () => {
		const { grant, settled } = settle(moving(), report({ endedMigrationIds: [migrationId] }), 0);
		expect(settled).toBe("ended");
		expect(grant).toMatchObject({ ownerHostId: a, ownerEpoch: 1, permit: null });
		expect(grantMove(grant, { migrationId: newId(MigrationId), targetHostId: c, expiresAt })).toMatchObject({
			permit: { epoch: 3 },
		});
	});

	it("is over when it was never begun and can no longer be", () => {
		expect(settle(moving(), report({}), expiresAt + clockSlackMs).settled).toBeNull();
		expect(settle(moving(), report({}), expiresAt + clockSlackMs + 1).settled).toBe("expired");
	});

	it("is not taken back by an older report", () => {
		const { grant } = settle(moving(), report({ hostId: b, epoch: 2 }), 0);
		expect(settle(grant, report({ hostId: a, epoch: 1, endedMigrationIds: [migrationId] }), 0)).toMatchObject({
			grant,
			settled: null,
		});
	});

	it("decides nothing when two hosts claim one epoch, and raises the alarm", () => {
		const { grant } = settle(moving(), report({ hostId: b, epoch: 2 }), 0);
		const claimed = settle(grant, report({ hostId: c, epoch: 2 }), 0);
		expect(claimed.grant).toEqual(grant);
		expect(claimed.contradiction).toContain("both claim the guest under epoch 2");
	});

	it("is learned again from the agents by a console with an old database", () => {
		const old = firstGrant(guestIdFor(1), a);
		const words = [
			report({ hostId: a, role: "released", epoch: 7 }),
			report({ hostId: c, epoch: 7 }),
			report({ hostId: b, role: "released", epoch: 6 }),
		];
		const { grant } = settleAll(old, words, 0);
		expect(grant).toMatchObject({ ownerHostId: c, ownerEpoch: 7, highestEpoch: 7 });
	});

	it("reads what an agent publishes", () => {
		const guest = { guestId: guestIdFor(1), role: "owner", epoch: 1, migrationId: null } as const;
		const move = { migrationId, guestId: guestIdFor(1), sourceHostId: a } as const;
		expect(ownershipReport(a, guest, [{ ...move, state: "failed" }]).endedMigrationIds).toEqual([migrationId]);
		expect(ownershipReport(a, guest, [{ ...move, state: "completed" }]).endedMigrationIds).toEqual([]);
		expect(ownershipReport(b, guest, [{ ...move, state: "failed" }]).endedMigrationIds).toEqual([]);
	});
});
