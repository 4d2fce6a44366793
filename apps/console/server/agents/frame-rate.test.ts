import { expect, test } from "vitest";
import { FrameRate } from "./frame-rate.ts";

const limits = { windowMs: 1000, frames: 3, length: 100 };

test("frames within the limits pass, window after window", () => {
	const rate = new FrameRate(limits);
	for (let at = 0; at < 10_000; at += 400) expect(rate.take(30, at)).toBeNull();
});

test("one frame too many ends the connection", () => {
	const rate = new FrameRate(limits);
	expect([1, 1, 1, 1].map((length) => rate.take(length, 500))).toEqual([
		null,
		null,
		null,
		"more than 3 frames within 1000 ms",
	]);
});

test("few frames that are too long end it too", () => {
	const rate = new FrameRate(limits);
	expect(rate.take(60, 0)).toBeNull();
	expect(rate.take(60, 10)).toBe("more than 100 characters within 1000 ms");
});

test("a clock that is set back begins a new window instead of a ban", () => {
	const rate = new FrameRate(limits);
	for (let frame = 0; frame < 3; frame++) rate.take(1, 1_000_000);
	expect(rate.take(1, 5)).toBeNull();
});
