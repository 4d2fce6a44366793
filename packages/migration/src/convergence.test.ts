import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { beginConvergence, describeSteering, downtimeLimitMs, steer } from "./convergence.ts";
import type { MemoryProgress, Steering } from "./ports.ts";

const MB = 1_000_000;
const sample = (passes: number, remainingBytes: number): MemoryProgress => ({
	totalBytes: 1000 * MB,
	transferredBytes: passes * MB,
	remainingBytes,
	passes,
	dirtyBytesPerSecond: 120 * MB,
	bytesPerSecond: 100 * MB,
	expectedDowntimeMs: null,
});

function play(options: { maxDowntimeMs: number; autoConverge: boolean }, remaining: readonly number[]) {
	let state = beginConvergence(options);
	const said: Steering[] = [];
	remaining.forEach((bytes, pass) => {
		const { next, steering } = steer(state, sample(pass + 1, bytes));
		state = next;
		if (steering) said.push(steering);
	});
	return { state, said };
}

describe("convergence", () => {
	it("leaves a guest alone whose passes shrink", () => {
		const { state, said } = play(
			{ maxDowntimeMs: 1000, autoConverge: true },
			[800, 400, 100, 20, 5].map((n) => n * MB),
		);
		expect(said).toEqual([]);
		expect(downtimeLimitMs(state)).toBe(30);
	});

	it("raises the pause in steps, then throttles, then gives up with the figures", () => {
		const { said } = play({ maxDowntimeMs: 1000, autoConverge: true }, Array(40).fill(500 * MB));
		expect(said.slice(0, 4)).toEqual([
			{ downtimeLimitMs: 100 },
			{ downtimeLimitMs: 300 },
			{ downtimeLimitMs: 1000 },
			{ throttle: true },
		]);
		expect(said[4]).toEqual({ abandon: expect.stringContaining("does not fit into a pause of 1.0 s") });
	});

	it("never throttles a guest whose owner did not agree", () => {
		const { said } = play({ maxDowntimeMs: 100, autoConverge: false }, Array(12).fill(500 * MB));
		expect(said.slice(0, 2)).toEqual([{ downtimeLimitMs: 100 }, { abandon: expect.any(String) }]);
	});

	it("looks at a pass once, however often it is sampled", () => {
		let state = beginConvergence({ maxDowntimeMs: 1000, autoConverge: true });
		for (let i = 0; i < 100; i++) {
			const { next, steering } = steer(state, sample(3, 500 * MB));
			expect(steering).toBeUndefined();
			state = next;
		}
	});

	it("never allows a longer pause than agreed, and only ever raises it", () => {
		const passes = fc.array(fc.integer({ min: 0, max: 1000 * MB }), { maxLength: 60 });
		fc.assert(
			fc.property(
				passes,
				fc.integer({ min: 30, max: 30_000 }),
				fc.boolean(),
				(remaining, maxDowntimeMs, autoConverge) => {
					let last = 30;
					for (const steering of play({ maxDowntimeMs, autoConverge }, remaining).said) {
						if (!("downtimeLimitMs" in steering)) continue;
						expect(steering.downtimeLimitMs).toBeGreaterThan(last);
						expect(steering.downtimeLimitMs).toBeLessThanOrEqual(maxDowntimeMs);
						last = steering.downtimeLimitMs;
					}
				},
			),
		);
	});

	it("tells a person what it does", () => {
		expect(describeSteering({ downtimeLimitMs: 300 })).toBe(
			"memory does not converge: a pause of up to 300 ms is allowed now",
		);
	});
});
