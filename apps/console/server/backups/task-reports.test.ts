import { HostId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { TaskReports } from "./task-reports.ts";

const host = newId(HostId);

/** Tasks of which each report is taken in when the test says so. */
function scene() {
	const open = new Map([["task", {}]]);
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
	reports.forget(newId(HostId));
	await take(host, 1, "running");
	expect(taken).toEqual(["waiting"]);
	reports.forget(host);
	await take(host, 1, "running");
	expect(taken).toEqual(["waiting", "running"]);
});

test("what another host counts says nothing about this one's reports", async () => {
	const { take, taken } = scene();
	await take(newId(HostId), 9, "running");
	await take(host, 1, "waiting");
	expect(taken).toEqual(["running", "waiting"]);
});
