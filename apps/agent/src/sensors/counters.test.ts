import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CounterHistory, CounterState } from "./counters.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

describe("counters", () => {
	it("never gives a negative increase, nor one beyond what was counted, for any counters, resets and clocks", () => {
		const step = fc.oneof(
			fc.record({ kind: fc.constant("rise" as const), by: fc.nat(5000) }),
			fc.record({ kind: fc.constant("reset" as const), by: fc.nat(50) }),
			fc.record({ kind: fc.constant("reboot" as const), by: fc.nat(50) }),
		);
		const steps = fc.array(fc.tuple(step, fc.integer({ min: -2 * hourMs, max: 6 * hourMs })), { maxLength: 80 });
		fc.assert(
			fc.property(steps, (list) => {
				const history = new CounterHistory();
				let total = 0;
				let boot = 0;
				let now = dayMs * 400;
				let counted = 0;
				for (const [{ kind, by }, pauseMs] of list) {
					now = Math.max(0, now + pauseMs);
					if (kind === "reboot") boot++;
					total = kind === "rise" ? total + by : by;
					counted += by;
					history.record([{ counter: "c", total }], now, `boot-${boot}`);
					for (const windowMs of [60_000, hourMs, dayMs]) {
						const increase = history.at(now).within("c", windowMs);
						expect(increase).toBeGreaterThanOrEqual(0);
						// A reset to a value above the last one cannot be told from a rise.
						expect(increase).toBeLessThanOrEqual(counted + 1e-6);
					}
				}
			}),
			{ numRuns: 300, seed: 7 },
		);
	});

	it("keeps the sum of a busy day and little memory", () => {
		const history = new CounterHistory();
		history.record([{ counter: "c", total: 0 }], 0, "b");
		for (let second = 1; second < 86_400; second++) {
			history.record([{ counter: "c", total: second }], second * 1000, "b");
		}
		const now = 86_399_000;
		history.prune(now);
		expect(history.at(now).within("c", dayMs)).toBe(86_399);
		expect(history.at(now).within("c", 60_000)).toBeGreaterThanOrEqual(60);
		expect(history.at(now).within("c", 60_000)).toBeLessThanOrEqual(70);
		expect(history.toJSON()[0]?.increases.length).toBeLessThan(520);
	});

	it("goes on after a restart where it stopped, and spreads what rose in between over that time", () => {
		const first = new CounterHistory();
		first.record([{ counter: "c", total: 100 }], 0, "b");
		const next = new CounterHistory(CounterState.parse(JSON.parse(JSON.stringify(first))));
		next.record([{ counter: "c", total: 1060 }], 16 * 60_000, "b");
		expect(next.at(16 * 60_000).within("c", dayMs)).toBe(960);
		expect(next.at(16 * 60_000).within("c", 60_000)).toBe(60);
	});

	it("does not let an unbounded number of counters in", () => {
		const history = new CounterHistory();
		for (let index = 0; index < 20_000; index++) {
			history.record([{ counter: `kernel/${index}/x`, events: 1, at: 1000 }], 1000, "b");
		}
		expect(history.toJSON().length).toBeLessThanOrEqual(8192);
		history.prune(3 * dayMs);
		expect(history.toJSON()).toEqual([]);
	});
});
