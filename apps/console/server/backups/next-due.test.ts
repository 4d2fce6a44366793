import { lookForDue } from "@sterna/backup/due";
import { expect, test } from "vitest";
import { earliestDue } from "./next-due.ts";

const minute = 60_000;
const evening = Date.parse("2026-11-22T20:00:00Z");
const nightly = { what: "the backup job nightly", cron: "0 2 * * *", timeZone: "UTC", seenAt: evening };
const scrub = { what: "the scrub of nas", cron: "0 4 * * 0", timeZone: "UTC", seenAt: evening };
const quarterly = { ...nightly, what: "the backup job often", cron: "*/15 * * * *" };

test("of all schedules the one that is due first is named", () => {
	expect(earliestDue([scrub, nightly], evening)).toEqual({
		...{ what: "the backup job nightly", at: Date.parse("2026-11-23T02:00:00Z") },
	});
	expect(earliestDue([scrub, nightly, quarterly], evening)?.what).toBe("the backup job often");
	expect(earliestDue([], evening)).toBeNull();
});

test("a clock that jumps there meets each run inside its window, where a day's jump would pass it", () => {
	const window = { ...nightly, startWithinMs: 30 * minute };
	expect(lookForDue(window, evening + 24 * 60 * minute).dueAt).toBeNull();
	const { at } = earliestDue([nightly], evening) ?? { at: 0 };
	expect(lookForDue(window, at + 500).dueAt).toBe(at);
});

test("after a jump the next one goes on from there, also when the run of before was not looked at yet", () => {
	const first = earliestDue([nightly], evening)?.at ?? 0;
	expect(earliestDue([nightly], first + 500)?.at).toBe(first + 24 * 60 * minute);
});
