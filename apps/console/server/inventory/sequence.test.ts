import type { TrackedReport } from "@sterna/shared/protocol/report";
import { expect, test } from "vitest";
import { isNewer, judgeReport, plausibleTime } from "./sequence.ts";

const run = "0b0e8a5e-7d06-4f0e-9b4f-000000000001";
const other = "0b0e8a5e-7d06-4f0e-9b4f-000000000002";
const change = (id: number, of = run): TrackedReport => ({
	run: of,
	id,
	event: { type: "findings.changed", findings: [] },
});
const snapshot = (id: number, of = run) => ({ run: of, id, event: { type: "snapshot" } }) as TrackedReport;

test.each([
	["the first snapshot", null, snapshot(7), "take"],
	["a change before any snapshot", null, change(1), "lost"],
	["the next change", { run, id: 7 }, change(8), "take"],
	["a change after a gap: only the newest of each thing is sent", { run, id: 7 }, change(90), "take"],
	["the same change again", { run, id: 8 }, change(8), "old"],
	["a change that comes late", { run, id: 8 }, change(3), "old"],
	["an old snapshot", { run, id: 8 }, snapshot(2), "old"],
	["a restarted agent's snapshot, whose ids begin anew", { run, id: 800 }, snapshot(1, other), "take"],
	["a restarted agent's change without a snapshot", { run, id: 8 }, change(9, other), "lost"],
] as const)("%s", (_, last, report, expected) => {
	expect(judgeReport(last, report)).toBe(expected);
});

test("an older generation never overwrites a newer one", () => {
	expect(isNewer({ generation: 5 }, { generation: 4 })).toBe(false);
	expect(isNewer({ generation: 5 }, { generation: 5 })).toBe(false);
	expect(isNewer({ generation: 5 }, { generation: 6 })).toBe(true);
	expect(isNewer(undefined, { generation: 0 })).toBe(true);
});

test.each([-365 * 86_400_000, 365 * 86_400_000, 61_000])("a clock that is off by %i ms is not believed", (offset) => {
	expect(plausibleTime(1_800_000_000_000 + offset, 1_800_000_000_000)).toBe(1_800_000_000_000);
});
test("a clock that is off by a second is", () => {
	expect(plausibleTime(999, 1999)).toBe(999);
});
