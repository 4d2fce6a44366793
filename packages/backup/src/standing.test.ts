import { describe, expect, test } from "vitest";
import { type ProtectionFacts, standingOf } from "./standing.ts";

const hourMs = 3_600_000;
const now = 1_800_000_000_000;
const good: ProtectionFacts = {
	...{ alertAfterMs: 26 * hourMs, newestWholeAt: now - 3 * hourMs, newestIsDamaged: false },
	...{ expectedSince: now - 900 * hourMs, failures: 0, lastFailure: null },
};
const state = (change: Partial<ProtectionFacts>) => standingOf({ ...good, ...change }, now).state;

describe("a guest", () => {
	test("with a fresh whole point is protected, and its age is what would be lost", () => {
		expect(standingOf(good, now)).toEqual({
			state: "protected",
			sentence: "its newest whole backup is 3 h old",
			recoveryPointAgeMs: 3 * hourMs,
		});
	});

	test("is late by the age of its newest whole point, whatever the schedule promised", () => {
		expect(state({ newestWholeAt: now - 26 * hourMs })).toBe("protected");
		expect(state({ newestWholeAt: now - 26 * hourMs - 1 })).toBe("late");
	});

	test("without any point is late once a first one was to be expected", () => {
		expect(state({ newestWholeAt: null, expectedSince: now - hourMs })).toBe("unprotected");
		expect(state({ newestWholeAt: null, expectedSince: now - 27 * hourMs })).toBe("late");
	});

	test("that no job takes is unprotected, also with an old point", () => {
		expect(standingOf({ ...good, alertAfterMs: null }, now)).toMatchObject({
			state: "unprotected",
			sentence: "no job backs it up; its newest whole backup is 3 h old",
		});
	});

	test("whose last runs failed says so before it is late, and why", () => {
		expect(standingOf({ ...good, failures: 2, lastFailure: "the repository is full" }, now)).toMatchObject({
			state: "failing",
			sentence: "the last 2 backups failed: the repository is full",
		});
	});

	test("whose newest point is damaged is damaged, although an older one is whole", () => {
		expect(state({ newestIsDamaged: true, failures: 3 })).toBe("damaged");
	});

	test("whose newest point is dated a year ahead is not called fresh by that", () => {
		expect(state({ newestWholeAt: now + 365 * 24 * hourMs })).toBe("late");
	});

	test("whose host's clock is a little ahead has an age of zero, not less", () => {
		expect(standingOf({ ...good, newestWholeAt: now + 1000 }, now).recoveryPointAgeMs).toBe(0);
	});
});
