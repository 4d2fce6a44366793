import { describe, expect, it } from "vitest";
import { exploreHandOver } from "./search.ts";

describe("the hand-over, tried exhaustively", () => {
	it("never runs the guest twice and never loses it, there and back, with a crash and a death", {
		timeout: 60_000,
	}, () => {
		const { states, violation } = exploreHandOver({ moves: 2, crashes: 1, deaths: 1, losses: 0, maxStates: 1_000_000 });
		expect(violation).toBeNull();
		expect(states).toBeGreaterThan(50_000);
	});

	it("brings the guest up again, once, when a server is lost for good at any moment of a move", {
		timeout: 60_000,
	}, () => {
		const { states, violation } = exploreHandOver({ moves: 1, crashes: 1, deaths: 1, losses: 1, maxStates: 1_000_000 });
		expect(violation).toBeNull();
		expect(states).toBeGreaterThan(5_000);
	});

	it("is seen to break when the source tells the target to run before it has written so", () => {
		const { violation, trace } = exploreHandOver(
			{ moves: 1, crashes: 1, deaths: 0, losses: 0, maxStates: 100_000 },
			"release",
		);
		expect(violation).toContain("A executes the guest's CPUs under epoch 1, but epoch 2 has been taken");
		expect(trace).toContain("A: hands over under epoch 2 without writing it first (the mistake)");
		expect(trace.length).toBeLessThan(20);
	});

	it("is seen to break when the target runs as soon as memory is complete", () => {
		const { violation, trace } = exploreHandOver(
			{ moves: 1, crashes: 0, deaths: 0, losses: 0, maxStates: 100_000 },
			"early-run",
		);
		expect(violation).toContain("without owning it");
		expect(trace.length).toBeLessThan(12);
	});

	// Two whole moves are needed before an old epoch can do harm: some 650,000 states.
	it("is seen to break when lower epochs are obeyed", { timeout: 180_000 }, () => {
		const { violation, trace } = exploreHandOver(
			{ moves: 2, crashes: 0, deaths: 0, losses: 0, maxStates: 2_000_000 },
			"epoch",
		);
		expect(violation).toContain("under epoch 2, but epoch 3 has been taken");
		expect(trace.at(-1)).toMatch(/starts the guest from its disks|lets the CPUs go/);
	});
});
