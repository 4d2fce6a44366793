import { expect, test } from "vitest";
import { timeFigure } from "./time-figure.ts";

const begun = { startedAt: 10_000, endedAt: null, remainingMs: 12_000 };

test("a task under way says how long it still takes, and how long it has taken in whole seconds", () => {
	expect(timeFigure(begun, 75_900)).toEqual({ label: "Time left", value: "12 s", note: "1 min 5 s so far" });
	expect(timeFigure({ ...begun, remainingMs: null }, 10_000)).toMatchObject({ value: "–" });
	expect(timeFigure(begun, 75_900, "Empty in")).toMatchObject({ label: "Empty in" });
});

test("a server whose clock is ahead of the reader's does not make a task last less than nothing", () => {
	expect(timeFigure(begun, 4_000)).toMatchObject({ note: "0 ms so far" });
});

test("a task that has ended says how long it took, one that has not begun says nothing", () => {
	expect(timeFigure({ ...begun, endedAt: 31_500 }, 99_000)).toEqual({ label: "Took", value: "22 s" });
	expect(timeFigure({ startedAt: null, endedAt: null, remainingMs: null }, 99_000)).toEqual({
		label: "Took",
		value: "–",
	});
});
