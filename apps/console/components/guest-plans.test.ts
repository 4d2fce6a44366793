import { expect, test } from "vitest";
import { listOf, planOfForget, planOfPower } from "./guest-plans.ts";

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

test("forgetting says what is forgotten, that the guest may run on, and that nothing is deleted", () => {
	const { steps, undo } = planOfForget(["web-1"], ["gull"]);
	expect(steps).toEqual([
		"This console forgets web-1: what it is, where it runs, and its tags.",
		"If gull is switched on somewhere, the guest may still run there, unseen, under the same addresses.",
		"Nothing is deleted on any server: the disks stay wherever they are.",
		"Recovery points stay, and so does what happened, in the event log.",
	]);
	expect(undo).toBe("restore it from its backups, as a new guest.");
	expect(planOfForget(["web-1", "web-2"], ["gull", "gull"]).steps[1]).toMatch(/^If gull is .* the guests may/);
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
