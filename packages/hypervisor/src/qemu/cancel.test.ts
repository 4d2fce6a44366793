import { expect, onTestFinished, test, vi } from "vitest";
import { QmpClient } from "../qmp/client.ts";
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
	const asking = vi.spyOn(QmpClient.prototype, "execute");
	onTestFinished(() => asking.mockRestore());
	await cancelMove(guest);
	const { calls, settledResults } = asking.mock;
	const unanswered = calls.filter((_, index) => settledResults[index]?.type === "rejected");
	expect(unanswered.map(([name]) => name)).toEqual(["query-migrate"]);
	const waitedMs = unanswered.map(([, , options]) => options?.timeoutMs ?? Number.POSITIVE_INFINITY);
	expect(Math.max(...waitedMs)).toBeLessThanOrEqual(1000);
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
