import { expect, test } from "vitest";
import { addDays, addMonths, dayInMonth, dayOf, weeksOf } from "./month.ts";

test("a month stands in weeks from Monday to Sunday", () => {
	const weeks = weeksOf("2026-11");
	expect(weeks).toHaveLength(6);
	expect(weeks[0]).toEqual([null, null, null, null, null, null, "2026-11-01"]);
	expect(weeks[5]).toEqual(["2026-11-30", null, null, null, null, null, null]);
	expect(weeksOf("2027-02").flat()).toHaveLength(28);
});

test("days and months go on over the ends of years, and a leap day is there", () => {
	expect(addDays("2026-12-31", 1)).toBe("2027-01-01");
	expect(addDays("2028-02-28", 1)).toBe("2028-02-29");
	expect(addMonths("2026-12", 1)).toBe("2027-01");
	expect(addMonths("2026-01", -1)).toBe("2025-12");
});

test("the same day of a shorter month is its last", () => {
	expect(dayInMonth("2026-10-31", "2026-11")).toBe("2026-11-30");
	expect(dayInMonth("2026-11-05", "2026-12")).toBe("2026-12-05");
});

test("a moment falls on the day that the wall clock of its zone shows", () => {
	const at = Date.parse("2026-11-22T23:30:00Z");
	expect(dayOf(at, "UTC")).toBe("2026-11-22");
	expect(dayOf(at, "Europe/Vienna")).toBe("2026-11-23");
});
