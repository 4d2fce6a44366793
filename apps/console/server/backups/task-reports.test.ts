import { HostId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { TaskReports } from "./task-reports.ts";

const host = newId(HostId);

/** Tasks of which each report is taken in when the test says so. */
function scene() {
	const open = new Map([["task", { hostId: host as HostId | null, acknowledged: false }]]);
	const reports = new TaskReports(open);
	const taken: string[] = [];
	const take = (hostId: HostId, generation: number, state: string, written: Promise<void> = Promise.resolve()) =>
		reports.take(hostId, "task", generation, async () => {
			await written;
			if (!open.has("task")) return false;
			taken.push(state);
			if (state === "completed") open.delete("task");
			return true;
		});
	return { open, reports, taken, take };
}

test("a report is taken in after the one before was written, however long that takes", async () => {
	const { take, taken } = scene();
	const slow = Promise.withResolvers<void>();
	const first = take(host, 1, "running", slow.promise);
	const last = take(host, 2, "completed");
	await Promise.resolve();
	expect(taken).toEqual([]);
	slow.resolve();
	expect(await Promise.all([first, last])).toEqual([true, true]);
	expect(taken).toEqual(["running", "completed"]);
});

test("an answer that is older than what was reported meanwhile changes nothing", async () => {
	const { take, taken } = scene();
	await take(host, 3, "waiting");
	expect(await take(host, 2, "running")).toBe(true);
	expect(taken).toEqual(["waiting"]);
});

test("a report that could not be written is taken in when it is told again", async () => {
	const { take, taken } = scene();
	await expect(take(host, 1, "running", Promise.reject(new Error("no database")))).rejects.toThrow("no database");
	await take(host, 1, "running");
	expect(taken).toEqual(["running"]);
});

test("the next life of an agent counts from the beginning and is heard", async () => {
	const { reports, take, taken } = scene();
	await take(host, 50, "waiting");
	reports.disconnected(newId(HostId));
	await take(host, 1, "running");
	expect(taken).toEqual(["waiting"]);
	reports.disconnected(host);
	await take(host, 1, "running");
	expect(taken).toEqual(["waiting", "running"]);
});

test("what another host counts says nothing about this one's reports", async () => {
	const { take, taken } = scene();
	await take(newId(HostId), 9, "running");
	await take(host, 1, "waiting");
	expect(taken).toEqual(["running", "waiting"]);
});

test("a report that arrives while its host goes does not silence the next life of the agent", async () => {
	const { reports, take, taken } = scene();
	const slow = Promise.withResolvers<void>();
	const former = take(host, 200, "running", slow.promise);
	reports.disconnected(host);
	slow.resolve();
	await former;
	await take(host, 3, "completed");
	expect(taken).toEqual(["running", "completed"]);
});

test("a host that knows nothing of a task that it had taken on has lost it", () => {
	const { open, reports } = scene();
	const task = { hostId: host, acknowledged: true };
	open.set("task", task);
	reports.connected(host);
	expect(reports.lost(host, new Set(["task"]))).toEqual([]);
	expect(reports.lost(newId(HostId), new Set())).toEqual([]);
	expect(reports.lost(host, new Set())).toEqual([task]);
	open.delete("task");
	expect(reports.lost(host, new Set())).toEqual([]);
});

test("a task that was begun after its host came back is not lost by a list from before its order", () => {
	const { open, reports } = scene();
	reports.connected(host);
	open.set("task", { hostId: host, acknowledged: true });
	expect(reports.lost(host, new Set())).toEqual([]);
	reports.disconnected(host);
	reports.connected(host);
	expect(reports.lost(host, new Set())).toHaveLength(1);
});
