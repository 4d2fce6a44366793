import { expect, test } from "vitest";
import { standingsOf } from "./task-phases.ts";

const phases = ["open", "copy", "commit"] as const;

test.each([
	["has not been heard of", null, null, ["ahead", "ahead", "ahead"]],
	["copies", "copy", "running", ["done", "now", "ahead"]],
	["waits for the repository", "copy", "waiting", ["done", "now", "ahead"]],
	["failed while it copied", "copy", "failed", ["done", "stopped", "ahead"]],
	["is being undone", "copy", "undoing", ["done", "stopped", "ahead"]],
	["is completed", "commit", "completed", ["done", "done", "done"]],
] as const)("a task that %s shows where it stands", (_, phase, state, standings) => {
	expect(standingsOf(phases, phase, state).map(({ standing }) => standing)).toEqual(standings);
});
