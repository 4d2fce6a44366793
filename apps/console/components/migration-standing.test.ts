import { MigrationPhase, type MigrationState } from "@sterna/shared/migration";
import { expect, test } from "vitest";
import { standingOf } from "./migration-standing.ts";

function standings(state: MigrationState, phase: MigrationPhase, entered: readonly MigrationPhase[]) {
	const report = { state, phase, phases: entered.map((one) => ({ phase: one, startedAt: 1, endedAt: null })) };
	return MigrationPhase.options.map((one) => standingOf(one, report));
}

test("before the source reports, every phase lies ahead", () => {
	expect(MigrationPhase.options.map((one) => standingOf(one, null))).toEqual(Array(6).fill("ahead"));
});

test("a running move shows what is done, what is now and what lies ahead", () => {
	expect(standings("running", "copyMemory", ["prepareTarget", "copyDisks", "copyMemory"])).toEqual([
		"done",
		"done",
		"now",
		"ahead",
		"ahead",
		"ahead",
	]);
});

test("disks that were not copied are shown as not needed", () => {
	const entered = ["prepareTarget", "copyMemory", "switchOver", "handOver", "retireSource"] as const;
	expect(standings("completed", "retireSource", entered)).toEqual(["done", "skipped", "done", "done", "done", "done"]);
});

test.each(["failed", "undoing", "cancelled", "inDoubt"] as const)("a move that is %s stopped where it was", (state) => {
	expect(standings(state, "handOver", ["prepareTarget", "copyMemory", "switchOver", "handOver"])[4]).toBe("stopped");
});
