import { expect, test } from "vitest";
import { scriptedGuest } from "../testing/scripted-guest.ts";
import { cancelMove } from "./cancel.ts";

test("a monitor that hangs on a dead link is not waited for while the guest stands: its link is cut within a second", async () => {
	const guest = await scriptedGuest(
		{ incoming: false },
		{ hear: "query-migrate" },
		{ hear: "yank", answer: {} },
		{ hear: "query-migrate", answer: { status: "failed" } },
		{ hear: "query-block-jobs", answer: [] },
		{ hear: "query-block-jobs", answer: [] },
		{ hear: "query-named-block-nodes", answer: [] },
		{ hear: "query-status", answer: { running: false, status: "postmigrate" } },
		{ hear: "cont", answer: {} },
		{ hear: "query-status", answer: { running: true, status: "running" } },
		{ hear: "query-named-block-nodes", answer: [] },
	);
	const startedAt = performance.now();
	await cancelMove(guest);
	expect(performance.now() - startedAt).toBeLessThan(1500);
});

test("a move that ended by itself while its link was cut is cancelled all the same", async () => {
	const noSuchInstance = { class: "DeviceNotFound", desc: "Instance 'migration' not found" };
	const guest = await scriptedGuest(
		{ incoming: false },
		{ hear: "query-migrate" },
		{ hear: "yank", error: noSuchInstance },
		{ hear: "query-migrate", answer: { status: "failed" } },
		{ hear: "query-block-jobs", answer: [] },
		{ hear: "query-block-jobs", answer: [] },
		{ hear: "query-named-block-nodes", answer: [] },
		{ hear: "query-status", answer: { running: true, status: "running" } },
		{ hear: "query-named-block-nodes", answer: [] },
	);
	await cancelMove(guest);
});
