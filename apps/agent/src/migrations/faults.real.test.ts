import { expect, test } from "vitest";
import { faultSuite } from "./testing/fault-suite.ts";
import { qemuKind } from "./testing/guest-kinds.ts";
import { TwoHosts, until } from "./testing/two-hosts.ts";

faultSuite(qemuKind);

test("a guest on a shared folder moves with its memory alone; when that is lost after the hand-over it starts from its disk", async () => {
	const world = await TwoHosts.open(qemuKind, { pool: "shared" });
	try {
		const report = await (await world.startMove()).ended();
		expect(report).toMatchObject({ error: null, state: "completed", disk: null });
		world.moved();
		await world.expectOneGuest();

		const { target } = world;
		const { reached } = await target.host.pauseAt("target:owned");
		const move = await world.startMove();
		await reached;
		await target.host.kill();
		await world.killProcesses(target);
		await target.host.start();
		const after = await move.ended();
		expect(after.journal.map(({ text }) => text).join("; ")).toMatch(/started from its disks on the target/);
		world.moved();
		await until("the guest to run once", async () => {
			const counts = [await world.countProcesses(world.source), await world.countProcesses(world.target)];
			return counts.join() === "1,0";
		});
		await until("the guest to have booted again", async () => (await world.boots(world.source)).length === 2);
	} finally {
		await world.close();
	}
});

test("a guest on a shared folder that was sent completely but not handed over goes on where it was, past the target that has its disk open", async () => {
	const world = await TwoHosts.open(qemuKind, { pool: "shared" });
	try {
		const { reached } = await world.source.host.pauseAt("source:handOver");
		const move = await world.startMove();
		await reached;
		await world.source.host.kill();
		await world.source.host.start();
		expect(await move.ended()).toMatchObject({ state: "failed", error: { code: "unavailable" } });
		await world.expectOneGuest();
	} finally {
		await world.close();
	}
});
