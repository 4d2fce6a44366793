import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JournalEntry } from "@sterna/migration/journal";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import { MigrationOptions } from "@sterna/shared/migration";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { TestConsole } from "../fixtures/test-console.ts";
import { JournalFiles } from "./journal-file.ts";
import { simulatedKind } from "./testing/guest-kinds.ts";
import { TwoHosts, until } from "./testing/two-hosts.ts";

describe("two hosts", () => {
	let world: TwoHosts;
	beforeAll(async () => {
		world = await TwoHosts.open(simulatedKind);
	});
	afterAll(() => world?.close());
	beforeEach(() => {
		onTestFailed(async () => console.log(await world.logs()));
	});

	const guestOn = async (site: TwoHosts["source"]) =>
		(await world.call(site, "host.snapshot", {})).guests.find(({ guestId }) => guestId === world.spec.id);

	test("the plan says what will be copied, and nothing has changed after it", async () => {
		const input = { guestId: world.spec.id, target: world.target.address };
		const plan = await world.call(world.source, "migration.plan", input);
		expect(plan).toMatchObject({ refusals: [], memoryBytes: world.spec.memoryBytes });
		expect(plan.steps.length).toBeGreaterThan(3);
		expect(await world.call(world.target, "host.snapshot", {})).toMatchObject({ guests: [], migrations: [] });
	});

	test("the plan to a host that cannot be reached says so instead of failing", async () => {
		const target = { ...world.target.address, port: 1 };
		const plan = await world.call(world.source, "migration.plan", { guestId: world.spec.id, target });
		expect(plan.refusals.map(({ code }) => code)).toEqual(["host_offline"]);
	});

	test("a pool that is called local although both hosts see it is refused: copying would delete the guest's disk", async () => {
		const world = await TwoHosts.open(simulatedKind, { pool: "mistaken" });
		try {
			const input = { guestId: world.spec.id, target: world.target.address };
			const plan = await world.call(world.source, "migration.plan", input);
			expect(plan.refusals.map(({ message }) => message)).toEqual([expect.stringContaining("called local on birch")]);
			expect(await (await world.startMove()).ended()).toMatchObject({
				state: "failed",
				error: { code: "incompatible" },
			});
			await world.expectOneGuest();
		} finally {
			await world.close();
		}
	});

	test("the same permit again is the same move", async () => {
		const migrationId = newId(MigrationId);
		const permit = await world.permit({ migrationId });
		const input = { permit, target: world.target.address, options: {} };
		const [first, second] = await Promise.all([
			world.call(world.source, "migration.start", input),
			world.call(world.source, "migration.start", input),
		]);
		expect([first.migrationId, second.migrationId]).toEqual([migrationId, migrationId]);
		await until("the move to end", async () => {
			const { migrations } = await world.call(world.source, "host.snapshot", {});
			return migrations.filter((one) => one.state === "completed").length === 1;
		});
		expect((await world.call(world.source, "migration.start", input)).state).toBe("completed");
		world.moved();
		await world.expectOneGuest();
	});

	test("since when the guest runs is the same on its new host", async () => {
		const before = await guestOn(world.source);
		await (await world.startMove()).ended();
		world.moved();
		await world.expectOneGuest();
		expect((await guestOn(world.source))?.startedAt).toBe(before?.startedAt);
	});

	test("cancelled while memory is copied, the guest runs on where it was and nothing is left on the target", async () => {
		const { reached } = await world.source.host.pauseAt("source:copyMemory");
		const move = await world.startMove();
		await reached;
		const { migrationId } = move;
		await world.call(world.source, "migration.cancel", { migrationId });
		world.source.host.goOn();
		const report = await move.ended();
		expect(report).toMatchObject({ state: "cancelled", error: { code: "cancelled" } });
		await world.expectOneGuest();
		expect(await world.hasLocalVolume(world.target)).toBe(false);
		expect((await world.call(world.source, "migration.cancel", { migrationId })).state).toBe("cancelled");
	});

	test.each([
		["source:copyMemory", "source", "failed"],
		["source:committed", "source", "completed"],
		["source:handOver", "target", "completed"],
	] as const)(
		"an agent that is stopped orderly at %s (the %s's) ends at once; the move has %s after its next start",
		async (at, side, state) => {
			const stopped = world[side].host;
			const { reached } = await world.source.host.pauseAt(at);
			const move = await world.startMove();
			await reached;
			expect(await stopped.stop()).toBe(0);
			if (side === "target") world.source.host.goOn();
			await stopped.start();
			expect(await move.ended()).toMatchObject({ state });
			if (state === "completed") world.moved();
			await world.expectOneGuest();
		},
	);

	test("after the hand-over there is nothing to cancel", async () => {
		const { reached } = await world.source.host.pauseAt("source:committed");
		const move = await world.startMove();
		await reached;
		const cancel = world.call(world.source, "migration.cancel", { migrationId: move.migrationId });
		await expect(cancel).rejects.toMatchObject({ code: "wrong_state" });
		world.source.host.goOn();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});

	test.each([
		["is over", { expiresAt: 1 }, "forbidden"],
		["is for another source", { sourceHostId: newId(HostId) }, "forbidden"],
		["is for another guest", { guestId: newId(GuestId) }, "not_found"],
		["is for another target than is called", { targetHostId: newId(HostId) }, "invalid"],
		["speaks for an epoch that was seen before", { epoch: 1 }, "conflict"],
	] as const)("a permit that %s begins nothing", async (_why, change, code) => {
		const permit = await world.permit(change);
		const start = world.call(world.source, "migration.start", { permit, target: world.target.address, options: {} });
		await expect(start).rejects.toMatchObject({ code });
		await world.expectOneGuest();
	});

	test("a host that has no part in a move can neither look into it, run it nor throw it away", async () => {
		const { peers, credentials, close } = await world.stranger();
		const { target } = world;
		const { reached } = await world.source.host.pauseAt("source:copyMemory");
		const move = await world.startMove();
		await reached;
		const name = { migrationId: move.migrationId, guestId: world.spec.id };
		const epoch = world.epoch;
		const permit = await world.permit({ migrationId: move.migrationId, epoch });
		await expect(peers.call(target.address, "incoming.renew", name)).rejects.toMatchObject({ code: "forbidden" });
		const run = peers.call(target.address, "incoming.run", { ...name, epoch });
		await expect(run).rejects.toMatchObject({ code: "forbidden" });
		const discard = peers.call(target.address, "incoming.discard", { permit });
		await expect(discard).rejects.toMatchObject({ code: "forbidden" });
		expect(credentials.cert).not.toBe("");
		close();
		world.source.host.goOn();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});

	test("no host can make another refuse epochs of a guest by a discard that the console has not permitted", async () => {
		const { peers, credentials, close } = await world.stranger();
		const foreign = await TestConsole.start();
		const { guestId, hostId: sourceHostId } = { guestId: world.spec.id, hostId: credentials.hostId };
		const targetHostId = world.target.host.hostId;
		const forged = { migrationId: newId(MigrationId), guestId, epoch: 1000, expiresAt: 1, sourceHostId, targetHostId };
		for (const permit of [
			await foreign.sign(forged),
			await world.permit({ epoch: 1000 }),
			await world.permit({ epoch: 1000, sourceHostId, targetHostId: world.source.host.hostId }),
		]) {
			const discard = peers.call(world.target.address, "incoming.discard", { permit });
			await expect(discard).rejects.toMatchObject({ code: "forbidden" });
		}
		close();
		await foreign.close();
		expect(await (await world.startMove()).ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});

	test("the discard of an earlier move that comes late leaves the next one alone", async () => {
		const { source, target } = world;
		const earlier = await world.permit();
		const { reached } = await source.host.pauseAt("source:copyMemory");
		const move = await world.startMove();
		await reached;
		const peers = await world.asSource();
		await peers.call(target.address, "incoming.discard", { permit: earlier });
		peers.close();
		source.host.goOn();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});

	test("the source itself cannot run what has not arrived", async () => {
		const { reached } = await world.source.host.pauseAt("source:copyMemory");
		const move = await world.startMove();
		await reached;
		expect((await guestOn(world.target))?.role).toBe("incoming");
		const start = world.call(world.target, "guest.start", { guestId: world.spec.id, epoch: world.epoch });
		await expect(start).rejects.toMatchObject({ code: "wrong_state" });
		world.source.host.goOn();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});
});

test("a target that owns the guest lets it go after a restart by itself, while the source is still away", async () => {
	const world = await TwoHosts.open(simulatedKind);
	try {
		const { source, target } = world;
		const { reached } = await target.host.pauseAt("target:owned");
		const move = await world.startMove();
		await reached;
		await Promise.all([source.host.kill(), target.host.kill()]);
		await target.host.start();
		world.moved();
		await world.nextBeat();
		await source.host.start();
		await until("the source to hear of it", async () => {
			const { migrations } = await world.call(source, "host.snapshot", {});
			return migrations.some(({ migrationId, state }) => migrationId === move.migrationId && state === "completed");
		});
		await world.expectOneGuest();
	} finally {
		await world.close();
	}
});

test("a complete target whose source is lost takes the guest by a new grant, from its disks; a source that comes back retires", async () => {
	const world = await TwoHosts.open(simulatedKind);
	try {
		const { source, target, spec } = world;
		const { reached } = await source.host.pauseAt("source:committed");
		const move = await world.startMove();
		await reached;
		await source.host.kill();
		const grant = { guestId: spec.id, epoch: world.epoch + 1 };
		await world.call(target, "guest.create", { spec, epoch: grant.epoch });
		expect(await world.countProcesses(target), "what was held").toBe(0);
		expect(await world.hasLocalVolume(target)).toBe(true);
		world.moved();
		await world.call(target, "guest.start", grant);
		await world.nextBeat();
		await source.host.start();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		await world.expectOneGuest();
	} finally {
		await world.close();
	}
});

test("a target with half of a copied disk refuses a new grant until its lease is over", async () => {
	const world = await TwoHosts.open(simulatedKind);
	try {
		const { source, target, spec } = world;
		const { reached } = await source.host.pauseAt("source:copyMemory");
		await world.startMove();
		await reached;
		const grant = { spec, epoch: world.epoch + 1 };
		await expect(world.call(target, "guest.create", grant)).rejects.toMatchObject({ code: "wrong_state" });
		await source.host.kill();
		target.host.endLeases();
		await until("the target to give up", async () => (await world.countProcesses(target)) === 0);
		await until("the grant to be taken", () => world.call(target, "guest.create", grant));
		world.moved();
		await world.call(target, "guest.start", { guestId: spec.id, epoch: grant.epoch });
		await world.nextBeat();
	} finally {
		await world.close();
	}
});

test("between hosts that share a pool only memory is copied, and the volume stays where it is", async () => {
	const world = await TwoHosts.open(simulatedKind, { pool: "shared" });
	try {
		const report = await (await world.startMove()).ended();
		expect(report).toMatchObject({ state: "completed", disk: null });
		world.moved();
		await world.expectOneGuest();
		await (await world.startMove()).ended();
		world.moved();
		await world.expectOneGuest();
	} finally {
		await world.close();
	}
});

test("an agent that starts removes the journals of moves that ended long ago, but for the latest 200", async () => {
	const world = await TwoHosts.open(simulatedKind);
	try {
		const { source, target, spec } = world;
		const permit = await world.permit();
		expect(await source.host.stop()).toBe(0);
		const move = { guestId: spec.id, guestName: spec.name, epoch: 2, sourceHostId: source.host.hostId, permit };
		const folder = join(source.dataDir, "migrations");
		const ids = Array.from({ length: 203 }, () => newId(MigrationId));
		await mkdir(folder, { recursive: true });
		for (const [at, migrationId] of ids.entries()) {
			const options = MigrationOptions.parse({});
			const facts = { ...move, migrationId, target: target.address, options, startedAt: at };
			const journal: JournalEntry[] = [
				{ type: "opened", at, move: facts },
				{ type: "ended", at, state: "completed" },
			];
			const lines = journal.map((entry) => `${JSON.stringify(entry)}\n`);
			await writeFile(join(folder, `${migrationId}.jsonl`), lines.join(""));
		}
		await source.host.start();
		expect((await new JournalFiles(source.dataDir).list()).sort()).toEqual(ids.slice(3).sort());
		await world.expectOneGuest();
	} finally {
		await world.close();
	}
});

describe("a target whose source has died", () => {
	let world: TwoHosts;
	beforeAll(async () => {
		world = await TwoHosts.open(simulatedKind);
	});
	afterAll(() => world?.close());

	test("throws an incomplete guest away when the lease is over", async () => {
		const { reached } = await world.source.host.pauseAt("source:copyMemory");
		const move = await world.startMove();
		await reached;
		expect(await world.countProcesses(world.target)).toBe(1);
		await world.source.host.kill();
		world.target.host.endLeases();
		await until("the target to give up", async () => (await world.countProcesses(world.target)) === 0);
		await until("its volume to be deleted", async () => !(await world.hasLocalVolume(world.target)));
		await world.source.host.start();
		// The next test begins a move: this one must be undone to its end, not only the guest running.
		expect(await move.ended()).toMatchObject({ state: "failed" });
		await world.expectOneGuest();
	});

	test("keeps a complete guest for as long as it takes, because it may have been handed over", async () => {
		const { reached } = await world.source.host.pauseAt("source:committed");
		const move = await world.startMove();
		await reached;
		await world.source.host.kill();
		const overs = async () =>
			(await world.target.host.log(Number.POSITIVE_INFINITY)).split("waits for its word").length;
		for (let over = await overs(), ended = 0; ended < 3; ended++, over++) {
			world.target.host.endLeases();
			await until("the lease to be over, and the next to begin", async () => (await overs()) > over);
		}
		expect(await world.countProcesses(world.target)).toBe(1);
		await world.source.host.start();
		expect(await move.ended()).toMatchObject({ state: "completed" });
		world.moved();
		await world.expectOneGuest();
	});
});
