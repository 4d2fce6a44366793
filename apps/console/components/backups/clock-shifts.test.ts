import { expect, test } from "vitest";
import { clockShifts } from "./clock-shifts.ts";

const november = Date.parse("2026-11-22T12:00:00Z");

test("Vienna's clocks go forward in March at 02:00 and back in October at 03:00", () => {
	expect(clockShifts("Europe/Vienna", november, 2)).toEqual([
		{ at: Date.parse("2027-03-28T01:00:00Z"), forward: true },
		{ at: Date.parse("2027-10-31T01:00:00Z"), forward: false },
	]);
});

test("Lord Howe's clocks move by half an hour", () => {
	expect(clockShifts("Australia/Lord_Howe", november, 1)).toEqual([
		{ at: Date.parse("2027-04-03T15:00:00Z"), forward: false },
	]);
});

test.each(["UTC", "Asia/Tokyo"])("clocks in %s stay as they are", (zone) => {
	expect(clockShifts(zone, november, 2)).toEqual([]);
});
