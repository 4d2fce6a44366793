import type { GuestGrant } from "@sterna/migration/grants";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import type { MigrationState } from "@sterna/shared/migration";
import { expect, test } from "vitest";
import { decideOutcome } from "./outcome.ts";

const [id, guestId, a, b] = [newId(MigrationId), newId(GuestId), newId(HostId), newId(HostId)];
const move = { id, targetHostId: b, epoch: 2 };
const open: GuestGrant = {
	guestId,
	ownerHostId: a,
	ownerEpoch: 1,
	highestEpoch: 2,
	permit: { migrationId: id, epoch: 2, sourceHostId: a, targetHostId: b, expiresAt: 0 },
};
const arrived: GuestGrant = { guestId, ownerHostId: b, ownerEpoch: 2, highestEpoch: 2, permit: null };
const stayed: GuestGrant = { ...open, permit: null };

test.each([
	["nobody has said anything", null, open, "running"],
	["it is copying", "running", open, "running"],
	["it is being unwound", "undoing", open, "undoing"],
	["nobody knows who has it", "inDoubt", open, "inDoubt"],
	["the source is done, the target was not heard yet", "completed", open, "running"],
	["both were heard", "completed", arrived, "completed"],
	["it failed, the source's claim was not heard yet", "failed", open, "running"],
	["it failed and the source has it", "failed", stayed, "failed"],
	["it was cancelled and the source has it", "cancelled", stayed, "cancelled"],
	["the target has it, the source still tidies up", "running", arrived, "running"],
	["the guest is gone", null, null, "failed"],
] as [string, MigrationState | null, GuestGrant | null, MigrationState][])("%s", (_, said, grant, state) => {
	expect(decideOutcome({ ...move, report: said && { state: said } }, grant)).toBe(state);
});
