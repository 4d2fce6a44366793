import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DueAnswer, lookForDue, type WatchedSchedule } from "./due.ts";
import { nextRuns } from "./schedule.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const at = (text: string) => Date.parse(text);
const daily: Omit<WatchedSchedule, "seenAt"> = { cron: "0 2 * * *", timeZone: "UTC", startWithinMs: 2 * hourMs };

/** A console that looks every `stepMs`, from `from` to `to`, with the clock that `clock` makes of the true time. */
function live(schedule: WatchedSchedule, moments: readonly number[]): { runs: number[]; answers: DueAnswer[] } {
	let { seenAt } = schedule;
	const answers = moments.map((now) => {
		const answer = lookForDue({ ...schedule, seenAt }, now);
		seenAt = answer.seenAt;
		return answer;
	});
	return { runs: answers.flatMap(({ dueAt }) => (dueAt === null ? [] : [dueAt])), answers };
}

const every = (from: number, to: number, stepMs: number) =>
	Array.from({ length: Math.floor((to - from) / stepMs) + 1 }, (_, index) => from + index * stepMs);

describe("while the console runs", () => {
	test("each time is due once, however often it is looked at", () => {
		const from = at("2026-11-22T00:00Z");
		const { runs, answers } = live({ ...daily, seenAt: from }, every(from, from + 3 * dayMs, 60_000));
		expect(runs).toEqual([at("2026-11-22T02:00Z"), at("2026-11-23T02:00Z"), at("2026-11-24T02:00Z")]);
		expect(answers.every(({ missed }) => missed === null)).toBe(true);
	});

	test("a new job does not run for times before it was made", () => {
		expect(lookForDue({ ...daily, seenAt: at("2026-11-22T02:30Z") }, at("2026-11-22T02:31Z")).dueAt).toBeNull();
	});
});

describe("after the console was away", () => {
	const seenAt = at("2026-11-20T02:00Z");

	test("the latest time is caught up while its window is open; those before it are told", () => {
		const answer = lookForDue({ ...daily, seenAt }, at("2026-11-23T03:30Z"));
		expect(answer).toEqual({
			dueAt: at("2026-11-23T02:00Z"),
			missed: { count: 2, firstAt: at("2026-11-21T02:00Z"), lastAt: at("2026-11-22T02:00Z") },
			seenAt: at("2026-11-23T02:00Z"),
		});
	});

	test("a time whose window is over is told as missed and not run", () => {
		const answer = lookForDue({ ...daily, seenAt }, at("2026-11-21T04:00:01Z"));
		expect(answer.dueAt).toBeNull();
		expect(answer.missed).toEqual({ count: 1, firstAt: at("2026-11-21T02:00Z"), lastAt: at("2026-11-21T02:00Z") });
	});

	test("at the very end of the window it still runs", () => {
		expect(lookForDue({ ...daily, seenAt }, at("2026-11-21T04:00:00Z")).dueAt).toBe(at("2026-11-21T02:00Z"));
	});

	test("it is told once", () => {
		const { answers } = live({ ...daily, seenAt }, every(at("2026-11-21T05:00Z"), at("2026-11-21T06:00Z"), 60_000));
		expect(answers.filter(({ missed }) => missed !== null)).toHaveLength(1);
	});
});

describe("when the clock jumps", () => {
	const before = at("2026-11-22T12:00Z");
	const often = { cron: "*/5 * * * *", timeZone: "UTC", startWithinMs: 10 * 60_000, seenAt: before };

	test("a year forward starts one run, not a hundred thousand, and it is quick", () => {
		const began = process.cpuUsage();
		const { runs } = live(often, every(before + 365 * dayMs, before + 365 * dayMs + 60_000, 1000));
		expect(runs.length).toBeLessThanOrEqual(2);
		expect(process.cpuUsage(began).user).toBeLessThan(3_000_000);
	});

	test("a year back: the schedule goes on from there", () => {
		const back = before - 365 * dayMs;
		const { runs } = live(often, every(back, back + hourMs, 1000));
		expect(runs.length).toBeGreaterThanOrEqual(11);
		expect(runs.length).toBeLessThanOrEqual(13);
	});

	test("a year forward and back again: no storm, and the schedule goes on", () => {
		const there = every(before + 365 * dayMs, before + 365 * dayMs + 600_000, 1000);
		const { runs } = live(often, [...there, ...every(before, before + hourMs, 1000)]);
		expect(runs.length).toBeGreaterThanOrEqual(12);
		expect(runs.length).toBeLessThanOrEqual(16);
	});

	test("a clock that is set right by seconds does not run the same time twice", () => {
		const due = at("2026-11-22T02:00Z");
		const { runs } = live({ ...daily, seenAt: due - dayMs }, [
			due,
			due + 1000,
			due - 5000,
			due - 1000,
			due,
			due + 1000,
		]);
		expect(runs).toEqual([due]);
	});
});

describe("whatever the times at which it is looked at", () => {
	const start = at("2027-03-27T00:00Z");
	test("every time is either run or told, exactly once", () => {
		fc.assert(
			fc.property(
				fc.constantFrom("0 * * * *", "30 2 * * *", "0 */6 * * *", "15 2,3 * * *"),
				fc.constantFrom("UTC", "Europe/Vienna", "Australia/Lord_Howe", "America/New_York"),
				fc.array(fc.integer({ min: 1, max: 6 * hourMs }), { minLength: 1, maxLength: 20 }),
				fc.integer({ min: 0, max: 12 * hourMs }),
				(cron, timeZone, steps, startWithinMs) => {
					let now = start;
					const moments = steps.map((step) => {
						now += step;
						return now;
					});
					const { runs, answers } = live({ cron, timeZone, startWithinMs, seenAt: start }, moments);
					const missed = answers.reduce((sum, answer) => sum + (answer.missed?.count ?? 0), 0);
					const expected = nextRuns(cron, timeZone, start, 130).filter((time) => time <= now);
					expect(runs.length + missed).toBe(expected.length);
					expect(new Set(runs).size).toBe(runs.length);
					for (const run of runs) expect(expected).toContain(run);
				},
			),
			{ numRuns: 30 },
		);
	});
});
