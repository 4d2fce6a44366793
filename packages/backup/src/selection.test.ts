import { GuestId, newId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import type { Selection } from "./job.ts";
import { scheduleSentence } from "./schedule-words.ts";
import { isSelected, selectionSentence } from "./selection.ts";

const guest = { id: newId(GuestId), tags: ["db", "production"], pools: ["fast"], volumes: 1 };
const other = newId(GuestId);

describe("a job takes a guest", () => {
	const cases: [string, Selection, boolean][] = [
		["with all others", { by: "all" }, true],
		["by its name", { by: "guests", guestIds: [other, guest.id] }, true],
		["not by another's name", { by: "guests", guestIds: [other] }, false],
		["by any of its tags", { by: "tags", tags: ["web", "db"] }, true],
		["not by a part of a tag", { by: "tags", tags: ["prod"] }, false],
		["by a pool of its disks", { by: "pool", pool: "fast" }, true],
		["not by another pool", { by: "pool", pool: "slow" }, false],
	];
	test.each(cases)("%s", (_, selection, expected) => {
		expect(isSelected(selection, guest)).toBe(expected);
	});

	test("but not when it has no disk", () => {
		expect(isSelected({ by: "all" }, { ...guest, volumes: 0 })).toBe(false);
	});

	test("and says whom it takes", () => {
		expect(selectionSentence({ by: "tags", tags: ["db"] }, 1)).toBe("1 guest with the tag db");
		expect(selectionSentence({ by: "pool", pool: "fast" }, 3)).toBe("3 guests with a disk in pool fast");
	});
});

test.each([
	["0 2 * * *", "every day at 02:00, UTC"],
	["*/15 * * * *", "every 15 minutes, UTC"],
	["*/7 * * * *", "at “*/7 * * * *”, UTC"],
	["5 * * * *", "every hour, 5 min past, UTC"],
	["0 */6 * * *", "every 6 hours, UTC"],
	["30 22 * * 1-5", "Monday to Friday at 22:30, UTC"],
	["0 3 * * 7", "every Sunday at 03:00, UTC"],
	["0 3 1 * *", "on day 1 of every month at 03:00, UTC"],
	["0 3 1 6 *", "at “0 3 1 6 *”, UTC"],
])("%s is read as “%s”", (cron, sentence) => {
	expect(scheduleSentence(cron, "UTC")).toBe(sentence);
});
