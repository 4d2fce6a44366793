import { PointId } from "@sterna/shared/ids";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Retention } from "./job.ts";
import { type RetainedPoint, retain } from "./retention.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const at = (text: string) => Date.parse(text);
const now = at("2026-11-22T12:00Z");
const none: Retention = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

function id(number: number): PointId {
	return PointId.parse(`00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`);
}

function pointsAt(times: readonly (string | number)[], marks: Partial<RetainedPoint>[] = []): RetainedPoint[] {
	return times.map((time, index) => ({
		...{
			pointId: id(index),
			takenAt: typeof time === "string" ? at(time) : time,
			isProtected: false,
			isDamaged: false,
		},
		...marks[index],
	}));
}

/** The times of the points that stay, newest first, as `11-22 02:00`. */
function kept(points: readonly RetainedPoint[], retention: Partial<Retention>, timeZone = "UTC", when = now): string[] {
	return retain(points, { ...none, ...retention }, timeZone, when)
		.filter(({ keptBy }) => keptBy.length > 0)
		.map(({ takenAt }) => new Date(takenAt).toISOString().slice(5, 16).replace("T", " "));
}

const everyDay = (count: number, hour = 2) =>
	Array.from({ length: count }, (_, day) => at(`2026-11-22T0${hour}:00Z`) - day * dayMs);

describe("each rule by itself", () => {
	test("last keeps so many", () => {
		expect(kept(pointsAt(everyDay(5)), { last: 3 })).toEqual(["11-22 02:00", "11-21 02:00", "11-20 02:00"]);
	});

	test("last takes all when there are fewer", () => {
		expect(kept(pointsAt(everyDay(2)), { last: 3 })).toHaveLength(2);
	});

	test("hourly keeps the newest of each hour", () => {
		const points = pointsAt(["2026-11-22T10:05Z", "2026-11-22T10:55Z", "2026-11-22T09:00Z", "2026-11-22T09:59:59Z"]);
		expect(kept(points, { hourly: 2 })).toEqual(["11-22 10:55", "11-22 09:59"]);
	});

	test("hours without a point are not counted", () => {
		const points = pointsAt(["2026-11-22T10:00Z", "2026-11-20T10:00Z", "2026-11-01T10:00Z"]);
		expect(kept(points, { hourly: 3 })).toHaveLength(3);
	});

	test("daily keeps the newest of each day", () => {
		const points = pointsAt(["2026-11-22T01:00Z", "2026-11-22T11:00Z", "2026-11-21T23:59Z", "2026-11-21T00:00Z"]);
		expect(kept(points, { daily: 7 })).toEqual(["11-22 11:00", "11-21 23:59"]);
	});

	test("weekly keeps the newest of each ISO week: Monday to Sunday", () => {
		// 22 November 2026 is a Sunday.
		const points = pointsAt(["2026-11-22T02:00Z", "2026-11-16T02:00Z", "2026-11-15T02:00Z", "2026-11-09T02:00Z"]);
		expect(kept(points, { weekly: 5 })).toEqual(["11-22 02:00", "11-15 02:00"]);
	});

	test("the week over the new year is one week", () => {
		// ISO 2026-W53: Monday 28 December 2026 to Sunday 3 January 2027.
		const points = pointsAt(["2027-01-03T02:00Z", "2027-01-01T02:00Z", "2026-12-28T02:00Z", "2026-12-27T02:00Z"]);
		const weeks = retain(points, { ...none, weekly: 9 }, "UTC", at("2027-01-05T00:00Z"));
		expect(weeks.map(({ keptBy }) => keptBy)).toEqual([["weekly 2026-W53"], [], [], ["weekly 2026-W52"]]);
	});

	test("29 December 2025 lies in the first week of 2026", () => {
		const [verdict] = retain(pointsAt(["2025-12-29T02:00Z"]), { ...none, weekly: 1 }, "UTC", now);
		expect(verdict?.keptBy).toEqual(["weekly 2026-W01"]);
	});

	test("monthly and yearly keep the newest of each", () => {
		const points = pointsAt(["2026-11-22T02:00Z", "2026-11-01T02:00Z", "2026-10-31T02:00Z", "2025-12-31T02:00Z"]);
		expect(kept(points, { monthly: 2 })).toEqual(["11-22 02:00", "10-31 02:00"]);
		expect(kept(points, { yearly: 2 })).toEqual(["11-22 02:00", "12-31 02:00"]);
	});
});

describe("rules one after the other", () => {
	test("a later rule begins where the earlier ones have nothing: 3 last, then 2 days that are not covered", () => {
		expect(kept(pointsAt(everyDay(8)), { last: 3, daily: 2 })).toEqual([
			"11-22 02:00",
			"11-21 02:00",
			"11-20 02:00",
			"11-19 02:00",
			"11-18 02:00",
		]);
	});

	test("a day with a point that another rule keeps needs no point of its own", () => {
		const points = pointsAt(["2026-11-22T10:00Z", "2026-11-22T08:00Z", "2026-11-21T10:00Z"]);
		expect(kept(points, { last: 1, daily: 1 })).toEqual(["11-22 10:00", "11-21 10:00"]);
	});

	test("a point that a rule passed over is not taken up by a later one", () => {
		// The day of the 21st keeps 23:00; 01:00 of that day is passed over, so the month's own point is an older one.
		const points = pointsAt(["2026-11-21T23:00Z", "2026-11-21T01:00Z", "2026-10-05T01:00Z"]);
		expect(kept(points, { daily: 1, monthly: 1 })).toEqual(["11-21 23:00", "10-05 01:00"]);
	});

	test("grandfather, father, son: two years of nightly points become 7 days, 4 weeks, 12 months and 1 year", () => {
		const verdicts = retain(
			pointsAt(everyDay(800)),
			{ ...none, daily: 7, weekly: 4, monthly: 12, yearly: 1 },
			"UTC",
			now,
		);
		const reasons = verdicts.flatMap(({ keptBy }) => keptBy.map((reason) => reason.split(" ")[0]));
		const count = (rule: string) => reasons.filter((reason) => reason === rule).length;
		expect({
			daily: count("daily"),
			weekly: count("weekly"),
			monthly: count("monthly"),
			yearly: count("yearly"),
		}).toEqual({
			...{ daily: 7, weekly: 4, monthly: 12, yearly: 1 },
		});
	});

	test("each kept point says why", () => {
		const verdicts = retain(pointsAt(everyDay(3)), { ...none, last: 1, daily: 1 }, "UTC", now);
		expect(verdicts.map(({ keptBy }) => keptBy)).toEqual([["last 1 of 1"], ["daily 2026-11-21"], []]);
	});
});

describe("days are those of the job's time zone", () => {
	test("23:30 in Vienna belongs to another day than in UTC", () => {
		const points = pointsAt(["2026-11-21T23:30Z", "2026-11-21T22:30Z"]);
		expect(kept(points, { daily: 2 }, "Europe/Vienna")).toHaveLength(2);
		expect(kept(points, { daily: 2 }, "UTC")).toHaveLength(1);
	});

	test("the hour that the clocks repeat is two hours", () => {
		const points = pointsAt(["2027-10-31T00:30Z", "2027-10-31T01:30Z"]);
		expect(kept(points, { hourly: 2 }, "Europe/Vienna", at("2027-11-01T00:00Z"))).toHaveLength(2);
	});

	test("the day of 25 hours is one day", () => {
		const points = pointsAt(["2027-10-30T22:00Z", "2027-10-31T22:59Z"]);
		expect(kept(points, { daily: 2 }, "Europe/Vienna", at("2027-11-01T12:00Z"))).toEqual(["10-31 22:59"]);
	});
});

describe("what no rule may remove", () => {
	test("a protected point stays and takes nobody's place", () => {
		const points = pointsAt(everyDay(4), [{ isProtected: true }, {}, {}, { isProtected: true }]);
		expect(kept(points, { last: 1 })).toEqual(["11-22 02:00", "11-21 02:00", "11-19 02:00"]);
	});

	test("a damaged point takes no whole point's place", () => {
		const points = pointsAt(everyDay(3), [{ isDamaged: true }]);
		expect(kept(points, { last: 1 })).toEqual(["11-22 02:00", "11-21 02:00"]);
	});

	test("a damaged point goes when it would go if it were whole", () => {
		const points = pointsAt(everyDay(3), [{}, {}, { isDamaged: true }]);
		expect(kept(points, { last: 1 })).toEqual(["11-22 02:00"]);
	});

	test("the newest whole point stays although every newer one is damaged", () => {
		const points = pointsAt(
			everyDay(40),
			Array.from({ length: 39 }, () => ({ isDamaged: true })),
		);
		expect(kept(points, { last: 2 }).at(-1)).toBe(
			new Date(everyDay(40).at(-1) ?? 0).toISOString().slice(5, 16).replace("T", " "),
		);
	});

	test("a point dated a year ahead pushes no real one out", () => {
		const points = pointsAt([now + 365 * dayMs, ...everyDay(2)]);
		expect(kept(points, { last: 1 })).toEqual(["11-22 12:00", "11-22 02:00"]);
	});

	test("a clock that jumped a year ahead for good does not thin out what is there", () => {
		const points = pointsAt([now + 365 * dayMs, ...everyDay(7)]);
		expect(kept(points, { daily: 8 }, "UTC", now + 365 * dayMs)).toHaveLength(8);
	});

	test("no points, nothing to say", () => {
		expect(retain([], { ...none, last: 1 }, "UTC", now)).toEqual([]);
	});
});

test("a retention that keeps nothing is refused at the door", () => {
	expect(Retention.safeParse(none).success).toBe(false);
	expect(Retention.safeParse({ ...none, last: -1 }).success).toBe(false);
	expect(Retention.safeParse({ ...none, last: 1.5 }).success).toBe(false);
});

describe("for any points and any rule", () => {
	const count = fc.integer({ min: 0, max: 6 });
	const anyRetention = fc
		.record({ last: count, hourly: count, daily: count, weekly: count, monthly: count, yearly: count })
		.filter((rules) => Object.values(rules).some((value) => value > 0));
	const anyZone = fc.constantFrom("UTC", "Europe/Vienna", "Pacific/Auckland", "America/St_Johns");
	const anyPoints = fc
		.uniqueArray(
			fc.record({
				hours: fc.integer({ min: 0, max: 24 * 900 }),
				isProtected: fc.constantFrom(false, false, false, true),
				isDamaged: fc.constantFrom(false, false, false, true),
			}),
			{ maxLength: 60, selector: ({ hours }) => hours },
		)
		.map((items) =>
			items.map(({ hours, ...marks }, index) => ({ pointId: id(index), takenAt: now - hours * hourMs, ...marks })),
		);
	const stays = (points: readonly RetainedPoint[], rules: Retention, zone: string) =>
		new Set(
			retain(points, rules, zone, now)
				.filter(({ keptBy }) => keptBy.length > 0)
				.map(({ pointId }) => pointId),
		);
	const check = (property: (points: RetainedPoint[], rules: Retention, zone: string) => void) =>
		fc.assert(fc.property(anyPoints, anyRetention, anyZone, property), { numRuns: 150 });

	test("a whole point stays whenever there is one", () => {
		check((points, rules, zone) => {
			const staying = stays(points, rules, zone);
			expect(points.some((point) => !point.isDamaged)).toBe(
				points.some((point) => !point.isDamaged && staying.has(point.pointId)),
			);
		});
	});

	test("every protected point stays", () => {
		check((points, rules, zone) => {
			const staying = stays(points, rules, zone);
			for (const point of points) if (point.isProtected) expect(staying).toContain(point.pointId);
		});
	});

	test("protecting or damaging other points never removes a whole one that stayed", () => {
		check((points, rules, zone) => {
			const plain = points.filter((point) => !point.isProtected && !point.isDamaged);
			const alone = stays(plain, rules, zone);
			const staying = stays(points, rules, zone);
			// The newest whole point stays without a rule too, but only while no protected one is newer.
			const [newest] = [...plain].sort((a, b) => b.takenAt - a.takenAt);
			for (const pointId of alone) if (pointId !== newest?.pointId) expect(staying).toContain(pointId);
		});
	});

	test("no rule keeps more whole points than it says", () => {
		check((points, rules, zone) => {
			const sum = Object.values(rules).reduce((total, value) => total + value, 0);
			const ruled = points.filter((point) => !point.isProtected && !point.isDamaged);
			const staying = stays(points, rules, zone);
			expect(ruled.filter(({ pointId }) => staying.has(pointId)).length).toBeLessThanOrEqual(sum + 1);
		});
	});

	test("applying it twice removes nothing more", () => {
		check((points, rules, zone) => {
			const once = stays(points, rules, zone);
			const left = points.filter(({ pointId }) => once.has(pointId));
			expect(stays(left, rules, zone)).toEqual(once);
		});
	});

	test("the order in which points are listed does not matter", () => {
		check((points, rules, zone) => {
			expect(stays([...points].reverse(), rules, zone)).toEqual(stays(points, rules, zone));
		});
	});
});
