import type { Finding } from "@sterna/shared/health";
import { GuestId } from "@sterna/shared/ids";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { codeOf, until } from "./testing/console-process.ts";
import { MoveScene } from "./testing/move-scene.ts";

let scene: MoveScene;
beforeAll(async () => {
	scene = await MoveScene.start();
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});
afterEach(() => scene.fleet.letGo());

function badMemory(value = 2): Finding {
	return {
		...{
			key: "memory/mc0.dimm1/uncorrectedErrors",
			sensor: "memory",
			component: "DIMM_B1",
			signal: "uncorrectedErrors",
		},
		...{ severity: "failing", value, threshold: 1, unit: "errors", windowMs: 0, rule: "any uncorrected memory error" },
		...{ firstSeenAt: Date.now(), lastSeenAt: Date.now(), raw: "ue_count 2", relevant: true },
	};
}

describe("a failing host", () => {
	test("is emptied at once, stays out of service with its evidence, and a console killed in between goes on", async () => {
		for (const index of [0, 1, 2, 3]) await scene.newGuest(`leaver-${index}`, scene.agent(2));
		const ill = scene.agent(2);
		scene.fleet.holdAt = "copyMemory";
		ill.setFindings([badMemory()]);
		await until("the first moves", async () => scene.fleet.waiting > 0);
		const { rows } = await scene.api.evacuations.list.query({ state: ["running"] });
		expect(rows).toHaveLength(1);
		expect(rows[0]?.remainingMs).toBeGreaterThan(0);
		await scene.console.kill();
		scene.fleet.letGo();
		await scene.restart();
		const evacuationId = rows[0]?.id ?? "";
		const evacuation = await until("the evacuation's end", async () => {
			const view = await scene.api.evacuations.get.query({ evacuationId });
			return view.endedAt !== null && view;
		});
		expect(evacuation).toMatchObject({ state: "completed", requestedBy: "health policy" });
		expect(evacuation.items.filter(({ state }) => state !== "skipped").every(({ state }) => state === "moved")).toBe(
			true,
		);
		const host = await until("its end of service", async () => {
			const view = await scene.api.hosts.get.query({ hostId: ill.identity.hostId });
			return view.mode === "maintenance" && view;
		});
		expect(host).toMatchObject({ health: "failing", guestsRunning: 0 });
		expect(host.findings[0]).toMatchObject({
			component: "DIMM_B1",
			value: 2,
			action: "evacuated",
		});
		for (const { id } of (await scene.api.guests.list.query({ filter: "leaver" })).rows) {
			const view = await scene.guest(id);
			expect(view).toMatchObject({ state: "running", epoch: 2 });
			expect(scene.ownersOf(id)).toEqual([view.host.name]);
		}
		const overview = await scene.api.overview.get.query();
		expect(overview.headline).toMatchObject({
			tone: "failing",
			sentence: expect.stringContaining("left it without a restart"),
		});
		expect(overview.decisions.map(({ title }) => title)).toContain("Replace DIMM_B1 in rack1-03");
	});

	test("returns to service only after its finding is released; the same reading does not open it again, a worse one does", async () => {
		const ill = scene.agent(2);
		const { hostId } = ill.identity;
		ill.setFindings([{ ...badMemory(1), severity: "watch" }]);
		ill.setFindings([]);
		ill.measure(GuestId.parse(crypto.randomUUID()), 0.25);
		await until("the milder reports", async () => (await scene.api.hosts.get.query({ hostId })).cpuUsed === 0.25);
		expect((await scene.api.hosts.get.query({ hostId })).health).toBe("failing");
		expect(await codeOf(scene.api.hosts.leaveMaintenance.mutate({ hostId }))).toBe("wrong_state");
		const [finding] = (await scene.api.hosts.get.query({ hostId })).findings;
		if (!finding) throw new Error("no finding");
		await scene.api.hosts.releaseFinding.mutate({ hostId, findingId: finding.id, reason: "DIMM replaced" });
		expect(await scene.api.hosts.leaveMaintenance.mutate({ hostId })).toEqual({ mode: "normal" });
		const { firstSeenAt } = finding;
		ill.setFindings([{ ...badMemory(), firstSeenAt }]);
		const changed = { ...badMemory(), key: "disk/sda/temperature", severity: "watch" as const };
		ill.setFindings([{ ...badMemory(), firstSeenAt }, changed]);
		await until("the other finding", async () => (await scene.api.hosts.get.query({ hostId })).findings.length === 1);
		expect((await scene.api.hosts.get.query({ hostId })).health).toBe("watch");
		ill.setFindings([{ ...badMemory(3), firstSeenAt }]);
		await until("the worse one", async () => (await scene.api.hosts.get.query({ hostId })).health === "failing");
	});
});

test("a failing host that dies while it is emptied does not keep the next failing host from being emptied", async () => {
	const [dying, ill] = [await scene.join("rack2-01"), await scene.join("rack2-02")];
	await scene.newGuest("left-behind", dying);
	const leaving = await scene.newGuest("must-leave", ill);
	const running = async () =>
		(await scene.api.evacuations.list.query({ state: ["running"] })).rows.map(({ host }) => host.name);
	scene.fleet.holdAt = "copyMemory";
	dying.setFindings([{ ...badMemory(), signal: "dying" }]);
	await until("the first evacuation", async () => scene.fleet.waiting === 1);
	await dying.disconnect();
	ill.setFindings([{ ...badMemory(), signal: "ill" }]);
	await until("the second evacuation", async () => (await running()).includes("rack2-02"));
	await scene.api.hosts.revoke.mutate({ hostId: dying.identity.hostId, reason: "it is scrap" });
	await until("the end of the first", async () => !(await running()).includes("rack2-01"));
	scene.fleet.letGo();
	await until("the end of the second", async () => (await running()).length === 0);
	expect((await scene.guest(leaving)).host.name).not.toBe("rack2-02");
});

test("every step is in the event log, and its chain of hashes holds", async () => {
	expect(await scene.toldKinds()).toEqual(
		expect.arrayContaining(["evacuation.started", "migration.completed", "evacuation.completed"]),
	);
});
