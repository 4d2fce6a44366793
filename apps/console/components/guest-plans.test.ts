import { expect, test } from "vitest";
import { listOf, planOfPower } from "./guest-plans.ts";

test("a plan for one guest speaks of it, a plan for several of them", () => {
	expect(planOfPower("shutDown", ["web-1"])).toMatchObject({
		steps: ["The power button of web-1 is pressed.", expect.any(String)],
		undo: "start it again once it has stopped.",
	});
	expect(planOfPower("shutDown", ["web-1", "web-2"])).toMatchObject({
		steps: ["The power buttons of web-1 and web-2 are pressed.", expect.any(String)],
		undo: "start them again once they have stopped.",
	});
});

test("deleting says that it cannot be undone", () => {
	expect(planOfPower("delete", ["web-1"]).undo).toBe("this cannot be undone.");
});

test.each([
	[["a"], "a"],
	[["a", "b"], "a and b"],
	[["a", "b", "c"], "a, b and c"],
	[["a", "b", "c", "d", "e"], "a, b, c, d and e"],
	[["a", "b", "c", "d", "e", "f", "g"], "a, b, c, d and 3 more"],
])("%j reads as %s", (names, text) => {
	expect(listOf(names)).toBe(text);
});
