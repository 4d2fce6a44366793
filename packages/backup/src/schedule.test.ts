import { describe, expect, test } from "vitest";
import { CronExpression, lastRun, nextRun, nextRuns, TimeZone } from "./schedule.ts";

const at = (text: string) => Date.parse(text);
const iso = (times: readonly number[]) => times.map((time) => new Date(time).toISOString().slice(0, 16));

describe("a schedule keeps its local time over the year", () => {
	test("02:30 stays 02:30 in summer and winter", () => {
		expect(iso(nextRuns("30 2 * * *", "Europe/Vienna", at("2027-01-10T12:00Z"), 1))).toEqual(["2027-01-11T01:30"]);
		expect(iso(nextRuns("30 2 * * *", "Europe/Vienna", at("2027-07-10T12:00Z"), 1))).toEqual(["2027-07-11T00:30"]);
	});

	test("a time that the clocks skip is due once, right after the gap", () => {
		// 28 March 2027: 02:00 becomes 03:00.
		expect(iso(nextRuns("30 2 * * *", "Europe/Vienna", at("2027-03-27T12:00Z"), 2))).toEqual([
			"2027-03-28T01:00",
			"2027-03-29T00:30",
		]);
	});

	test("a time that the clocks repeat is due once, at its first occurrence", () => {
		// 31 October 2027: 03:00 becomes 02:00.
		expect(iso(nextRuns("30 2 * * *", "Europe/Vienna", at("2027-10-30T12:00Z"), 2))).toEqual([
			"2027-10-31T00:30",
			"2027-11-01T01:30",
		]);
	});

	test("an hourly schedule goes on through gap and overlap without a hole or a double", () => {
		const spring = nextRuns("15 * * * *", "Europe/Vienna", at("2027-03-27T23:30Z"), 4);
		const autumn = nextRuns("15 * * * *", "Europe/Vienna", at("2027-10-30T22:30Z"), 5);
		for (const times of [spring, autumn]) {
			for (const [index, time] of times.entries())
				if (index > 0) expect(time - (times[index - 1] ?? 0)).toBe(3_600_000);
		}
	});

	test("a half-hour change of the clocks is one too", () => {
		expect(iso(nextRuns("15 2 * * *", "Australia/Lord_Howe", at("2026-10-03T00:00Z"), 2))).toEqual([
			"2026-10-03T15:30",
			"2026-10-04T15:15",
		]);
	});

	test("29 February is due in leap years only", () => {
		expect(iso(nextRuns("0 3 29 2 *", "UTC", at("2026-11-22T00:00Z"), 2))).toEqual([
			"2028-02-29T03:00",
			"2032-02-29T03:00",
		]);
	});
});

describe("looking back and forth agree", () => {
	test.each([
		["30 2 * * *", "2027-03-28T12:00Z"],
		["30 2 * * *", "2027-10-31T12:00Z"],
		["*/5 * * * *", "2026-11-22T10:02Z"],
		["0 3 29 2 *", "2026-11-22T10:00Z"],
		["0 0 * * 1-5", "2026-11-22T10:00Z"],
	])("%s until %s", (cron, until) => {
		const last = lastRun(cron, "Europe/Vienna", at(until));
		expect(last).not.toBeNull();
		expect(nextRun(cron, "Europe/Vienna", (last ?? 0) - 1000)).toBe(last);
		expect(nextRun(cron, "Europe/Vienna", last ?? 0)).toBeGreaterThan(at(until));
	});

	test("the moment itself counts, the one before it does not", () => {
		const due = at("2026-11-22T10:05:00Z");
		expect(lastRun("*/5 * * * *", "UTC", due)).toBe(due);
		expect(lastRun("*/5 * * * *", "UTC", due - 1)).toBe(due - 300_000);
	});
});

describe("what is no schedule is refused with its reason", () => {
	test.each([
		"* * * * * *",
		"0 0 0 1 1 * 2030",
		"@daily",
		"? * * * *",
		"60 * * * *",
		"0 24 * * *",
		"",
		"0 0 * *",
		" 0 0 * * *",
		"0  0 * * *",
		"0 0 * * *\n",
		"0 0 * * *; reboot",
		"0".repeat(300),
	])("%j", (expression) => {
		expect(CronExpression.safeParse(expression).success).toBe(false);
	});

	test.each(["* * * * *", "*/4 * * * *", "0,3 2 * * *", "58,2 * * * *", "0-10 3 29 2 *", "58,2 0,23 1,2 * *"])(
		"%s is due more often than every five minutes",
		(expression) => {
			expect(CronExpression.safeParse(expression).error?.issues[0]?.message).toMatch(/every five minutes/);
		},
	);

	test.each(["0 0 30 2 *", "0 0 31 2,4 *"])("%s is never due", (expression) => {
		expect(CronExpression.safeParse(expression).error?.issues[0]?.message).toMatch(/never due/);
	});

	test.each(["*/5 * * * *", "58,2 0 * * *", "0 2 * * *", "0 0 1 1 *", "0 3 29 2 *", "0 22 * * MON-FRI", "0 0 L * *"])(
		"%s is one",
		(expression) => {
			expect(CronExpression.parse(expression)).toBe(expression);
		},
	);

	test.each(["../../", "Europe/Atlantis", "", "UTC+1", "europe/vienna\0", "/etc/localtime"])(
		"%j is no time zone",
		(zone) => {
			expect(TimeZone.safeParse(zone).success).toBe(false);
		},
	);

	test.each(["UTC", "Europe/Vienna", "Australia/Lord_Howe"])("%s is one", (zone) => {
		expect(TimeZone.parse(zone)).toBe(zone);
	});
});
