import { expect, it } from "vitest";
import { retryAt } from "./evacuation-retry.ts";

const second = 1000;
const minute = 60 * second;

it("waits until a place has stood for a while, however long ago the guests could not leave", () => {
	expect(retryAt({ endedAt: 0, tries: 1 }, 600 * minute)).toBe(600 * minute + 15 * second);
});

it("tries again ever more rarely, but at least every half hour", () => {
	const waits = [1, 2, 3, 4, 5, 6, 7, 60].map((tries) => retryAt({ endedAt: 0, tries }, 0) / minute);
	expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
});
