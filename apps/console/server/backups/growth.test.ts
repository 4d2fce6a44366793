import { describe, expect, test } from "vitest";
import { daysUntilFull, growthOf, type HealthFacts, healthOfRepository } from "./growth.ts";

const dayMs = 24 * 3_600_000;
const now = 1_800_000_000_000;

describe("growth", () => {
	const samples = Array.from({ length: 30 }, (_, day) => ({ at: now - day * dayMs, storedBytes: 1000 - day * 10 }));

	test("is the mean of the last 14 days", () => {
		expect(growthOf(samples, now)).toBeCloseTo(10);
		const burst = samples.map((sample) => (now - sample.at > 20 * dayMs ? { ...sample, storedBytes: 0 } : sample));
		expect(growthOf(burst, now)).toBeCloseTo(10);
	});

	test("is not known from one sample", () => {
		expect(growthOf([{ at: now, storedBytes: 5 }], now)).toBeNull();
		expect(growthOf([], now)).toBeNull();
	});

	test("says when it is full, unless it shrinks or nobody knows the size", () => {
		expect(daysUntilFull(100, 10)).toBe(10);
		expect(daysUntilFull(100, -1)).toBeNull();
		expect(daysUntilFull(null, 10)).toBeNull();
	});
});

describe("a repository", () => {
	const good: HealthFacts = {
		...{ whyNobody: null, damages: 0, damagedPoints: 0, freeBytes: 50, capacityBytes: 100, daysUntilFull: null },
		...{ keyConfirmed: true, canaryFailure: null, scrubAgeMs: dayMs, ageMs: 90 * dayMs },
	};
	const cases: [string, Partial<HealthFacts>, string][] = [
		["is healthy when all is well", {}, "healthy"],
		["is damaged, also while nobody reaches it", { damages: 1, whyNobody: "away" }, "damaged"],
		["is unreachable when no host gets there", { whyNobody: "away" }, "unreachable"],
		["is damaged when the canary could be deleted", { canaryFailure: "deleted" }, "damaged"],
		["is full at less than 2 % free", { freeBytes: 1 }, "full"],
		["is watched while nobody has its key", { keyConfirmed: false }, "watch"],
		["is watched when it is soon full", { daysUntilFull: 13 }, "watch"],
		["is watched when nobody scrubs it", { scrubAgeMs: 36 * dayMs }, "watch"],
		["is watched when it is old and was never scrubbed", { scrubAgeMs: null }, "watch"],
		["is healthy when it is new and was never scrubbed", { scrubAgeMs: null, ageMs: dayMs }, "healthy"],
	];
	test.each(cases)("%s", (_, change, health) => {
		expect(healthOfRepository({ ...good, ...change }).health).toBe(health);
	});
});
