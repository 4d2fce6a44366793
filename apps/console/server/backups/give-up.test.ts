import { type GuestState, GuestState as States } from "@sterna/shared/guest";
import { expect, test } from "vitest";
import { refuseGiveUp } from "./give-up.ts";
import { endOf } from "./restore-end.ts";

type Facts = Parameters<typeof refuseGiveUp>[0];
const filling = { phase: "stream", givenUp: false } as NonNullable<Facts["report"]>;
const restore: Facts = { endedAt: null, state: "waiting", mode: "instant", report: filling, targetName: "web-2" };

test.each<GuestState>(["stopped", "crashed"])("a restore whose guest is %s may be given up", (state) => {
	expect(refuseGiveUp(restore, state)).toBeNull();
});

test("a restore is never given up under a guest that has a process", () => {
	const alive = States.options.filter((state) => !["stopped", "crashed", "unknown"].includes(state));
	expect(alive.length).toBeGreaterThan(3);
	for (const state of alive) expect(refuseGiveUp(restore, state)?.cure).toMatch(/power web-2 off first/);
});

test.each<[string, Partial<Facts>, GuestState, RegExp]>([
	["that has ended", { endedAt: 1, state: "completed" }, "stopped", /it has ended \(completed\)/],
	["that copies before its guest is there", { mode: "copy" }, "stopped", /nothing .* would be lost/],
	[
		"whose guest was never started",
		{ report: { ...filling, phase: "prepare" } },
		"stopped",
		/nothing .* would be lost/,
	],
	["whose host is not heard", {}, "unknown", /out of reach/],
])("a restore %s is not given up", (_, patch, state, reason) => {
	expect(refuseGiveUp({ ...restore, ...patch }, state)?.message).toMatch(reason);
});

test("the event log says of a restore that was given up what stays", () => {
	const facts = { mode: "instant", guestName: "web", targetName: "web-2", targetKind: "new" } as const;
	expect(endOf(facts, "failed", { ...filling, givenUp: true }).sentence).toBe(
		"The restore of web was given up: web-2 stays, stopped, with half-filled disks",
	);
});
