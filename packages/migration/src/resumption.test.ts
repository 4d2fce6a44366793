import { describe, expect, it } from "vitest";
import type { JournalEntry } from "./journal.ts";
import type { OwnershipRecord } from "./ownership-record.ts";
import { decideResumption, type Resumption } from "./resumption.ts";
import { facts, guestId } from "./testing/two-hosts.ts";

const { migrationId, target } = facts;
const common = { guestId, highestEpoch: 2, arrival: null };
const permit = { payload: "cGVybWl0", signature: "c2lnbmVk" };
const outgoing = { migrationId, epoch: 2, target, permit, abandoned: false };
const opened: JournalEntry = { type: "opened", at: 1, move: facts };
const cancelled: JournalEntry = {
	type: "undoing",
	at: 2,
	cancelled: true,
	error: { code: "cancelled", message: "cancelled" },
};

describe("what is left of a move after a restart", () => {
	it.each<[string, OwnershipRecord | null, JournalEntry[], Resumption]>([
		["under way", { role: "owner", epoch: 1, outgoing, ...common }, [opened], { action: "undo" }],
		[
			"half undone",
			{ role: "owner", epoch: 1, outgoing: { ...outgoing, abandoned: true }, ...common },
			[opened, cancelled],
			{ action: "undo" },
		],
		[
			"handed over",
			{ role: "released", epoch: 2, migrationId, target, heard: false, ...common },
			[opened],
			{ action: "forward" },
		],
		[
			"answered",
			{ role: "released", epoch: 2, migrationId, target, heard: true, ...common },
			[opened],
			{ action: "forward" },
		],
		[
			"opened, never begun",
			{ role: "owner", epoch: 1, outgoing: null, ...common, highestEpoch: 1 },
			[opened],
			{ action: "close", state: "failed" },
		],
		[
			"undone but for the last line",
			{ role: "owner", epoch: 1, outgoing: null, ...common },
			[opened, cancelled],
			{ action: "close", state: "cancelled" },
		],
		["retired but for the last line", { role: "none", ...common }, [opened], { action: "close", state: "completed" }],
		[
			"back again under a later epoch",
			{ role: "owner", epoch: 3, outgoing: null, ...common, highestEpoch: 3 },
			[opened],
			{ action: "close", state: "completed" },
		],
		[
			"ended",
			{ role: "none", ...common },
			[opened, { type: "ended", at: 3, state: "completed" }],
			{ action: "nothing" },
		],
	])("%s", (_, record, journal, expected) => {
		expect(decideResumption(record, journal, facts)).toEqual(expected);
	});
});
