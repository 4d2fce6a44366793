import { MiB } from "@sterna/shared/units";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { beginPace, lookAtGuest, type Pace, slowedBy, takeTurn } from "./pace.ts";

const unlimited = (before = { writes: 100, timeMs: 200 }) => beginPace({ limitBytesPerSecond: null, nowMs: 0, before });

/** Reads pieces for `forMs` of virtual time as fast as the pace lets it, on a disk that gives `diskBytesPerSecond`. */
function read(pace: Pace, fromMs: number, forMs: number, diskBytesPerSecond = 1024 * MiB) {
	let [now, bytes] = [fromMs, 0];
	while (now < fromMs + forMs) {
		const turn = takeTurn(pace, MiB, now);
		pace = turn.next;
		now += turn.waitMs + (MiB / diskBytesPerSecond) * 1000;
		bytes += MiB;
	}
	return { pace, now, bytesPerSecond: (bytes * 1000) / (now - fromMs) };
}

describe("a limit", () => {
	test("is kept over time, and without one nothing waits", () => {
		const limited = beginPace({ limitBytesPerSecond: 20 * MiB, nowMs: 0, before: { writes: 0, timeMs: 0 } });
		expect(read(limited, 0, 10_000).bytesPerSecond / MiB).toBeCloseTo(20, 0);
		expect(read(unlimited(), 0, 1000).bytesPerSecond / MiB).toBeGreaterThan(1000);
		expect(slowedBy(limited)).toBe("the job allows 20 MiB/s");
		expect(slowedBy(unlimited())).toBeNull();
	});

	test("saves up one second at most, whatever the pieces and pauses", () => {
		const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 4 * MiB }), pauseMs: fc.nat(5000) }), {
			maxLength: 50,
		});
		fc.assert(
			fc.property(steps, (all) => {
				const limit = 8 * MiB;
				let pace = beginPace({ limitBytesPerSecond: limit, nowMs: 0, before: { writes: 0, timeMs: 0 } });
				let now = 0;
				const reads: { at: number; bytes: number }[] = [];
				for (const { bytes, pauseMs } of all) {
					const turn = takeTurn(pace, bytes, now);
					pace = turn.next;
					now += turn.waitMs;
					reads.push({ at: now, bytes });
					now += pauseMs;
				}
				for (const [index, from] of reads.entries()) {
					const within = reads.slice(index).filter(({ at }) => at <= from.at + 1000);
					const total = within.reduce((sum, { bytes }) => sum + bytes, 0);
					expect(total).toBeLessThanOrEqual(2 * limit + from.bytes + 1);
				}
			}),
			{ seed: 5 },
		);
	});

	test("goes on when the clock jumps back a year", () => {
		const limited = beginPace({ limitBytesPerSecond: 8 * MiB, nowMs: 4e10, before: { writes: 0, timeMs: 0 } });
		const { waitMs, next } = takeTurn(limited, MiB, 1e10);
		expect(waitMs).toBeLessThanOrEqual(125);
		expect(takeTurn(next, MiB, 1e10 + 200).waitMs).toBeLessThanOrEqual(125);
	});
});

describe("the guest's latency", () => {
	const slow = { writes: 50, timeMs: 50 * 9 };
	const well = { writes: 50, timeMs: 50 * 2.2 };

	test("over twice what it was before halves the rate with every look, down to a floor, and says so", () => {
		let { pace, now } = read(unlimited(), 0, 500, 400 * MiB);
		const rates: number[] = [];
		for (let look = 0; look < 10; look++) {
			pace = lookAtGuest(pace, slow, now);
			rates.push((pace.allowedBytesPerSecond ?? 0) / MiB);
			({ pace, now } = read(pace, now, 500, 400 * MiB));
		}
		expect(rates[0]).toBeCloseTo(200, -1);
		expect(rates[1]).toBeCloseTo((rates[0] ?? 0) / 2, -1);
		expect(rates.at(-1)).toBe(4);
		expect(slowedBy(pace)).toBe("the guest's writes became slower: they take 9.0 ms, before the run 2.0 ms");
	});

	test("that is well again gives the rate back, in the end without any bound", () => {
		let { pace, now } = read(unlimited(), 0, 500, 400 * MiB);
		for (let look = 0; look < 8; look++) {
			now += 500;
			pace = lookAtGuest(pace, slow, now);
		}
		expect(pace.allowedBytesPerSecond).toBe(4 * MiB);
		for (let look = 0; look < 40; look++) {
			now += 500;
			pace = lookAtGuest(pace, well, now);
		}
		expect(pace.allowedBytesPerSecond).toBeNull();
		expect(slowedBy(pace)).toBeNull();
	});

	test("between one and a half and twice holds the rate where it is", () => {
		const pace = { ...unlimited(), allowedBytesPerSecond: 64 * MiB };
		expect(lookAtGuest(pace, { writes: 50, timeMs: 50 * 3.5 }, 500).allowedBytesPerSecond).toBe(64 * MiB);
	});

	test("of an idle guest, or under a millisecond, holds nothing back", () => {
		expect(lookAtGuest(unlimited(), { writes: 3, timeMs: 3000 }, 500).allowedBytesPerSecond).toBeNull();
		const quick = unlimited({ writes: 1000, timeMs: 50 });
		expect(lookAtGuest(quick, { writes: 1000, timeMs: 900 }, 500).allowedBytesPerSecond).toBeNull();
	});

	test("that nobody knew before the run is judged by the first that is seen", () => {
		let pace = unlimited({ writes: 0, timeMs: 0 });
		pace = lookAtGuest(pace, slow, 500);
		expect(pace).toMatchObject({ baselineMs: 9, allowedBytesPerSecond: null });
		expect(lookAtGuest(pace, { writes: 50, timeMs: 50 * 30 }, 1000).allowedBytesPerSecond).not.toBeNull();
	});
});
