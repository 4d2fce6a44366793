import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { admin, Browser, codeOf, until } from "./testing/console-process.ts";
import { MoveScene } from "./testing/move-scene.ts";

let scene: MoveScene;
beforeAll(async () => {
	scene = await MoveScene.start();
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});
afterEach(() => scene.fleet.letGo());

describe("a move", () => {
	test("takes the guest to the host that was asked for, under the next epoch", async () => {
		const guestId = await scene.newGuest("mover");
		const target = scene.agent(1).identity.hostId;
		const { migrationId } = await scene.api.guests.migrate.mutate({ guestId, targetHostId: target });
		const move = await scene.moveEnded(migrationId);
		expect(move).toMatchObject({ state: "completed", measuredDowntimeMs: 38, requestedBy: "ann" });
		expect(await scene.guest(guestId)).toMatchObject({
			state: "running",
			host: { name: "rack1-02" },
			epoch: 2,
			moving: null,
		});
		expect(scene.ownersOf(guestId)).toEqual(["rack1-02"]);
		const again = await scene.api.guests.migrate.mutate({ guestId });
		expect(await scene.moveEnded(again.migrationId)).toMatchObject({ state: "completed" });
	});

	test("is refused, and changes nothing, when target is source, offline, incompatible or unknown", async () => {
		const guestId = await scene.newGuest("stayer");
		const source = scene.agent(0).identity.hostId;
		const [other, offline] = [scene.agent(1), scene.agent(2)];
		expect(await codeOf(scene.api.guests.migrate.mutate({ guestId, targetHostId: source }))).toBe("conflict");
		expect(await codeOf(scene.api.guests.migrate.mutate({ guestId, targetHostId: crypto.randomUUID() }))).toBe(
			"not_found",
		);
		scene.agentOf(source).refusal = { code: "incompatible", message: "another CPU" };
		expect(await codeOf(scene.api.guests.migrate.mutate({ guestId, targetHostId: other.identity.hostId }))).toBe(
			"incompatible",
		);
		scene.agentOf(source).refusal = null;
		await offline.disconnect();
		const refused = () => codeOf(scene.api.guests.migrate.mutate({ guestId, targetHostId: offline.identity.hostId }));
		await until("the host to be seen offline", async () => (await refused()) === "host_offline");
		await offline.reconnect();
		expect(await scene.guest(guestId)).toMatchObject({ epoch: 1, moving: null, host: { id: source } });
		expect(scene.ownersOf(guestId)).toEqual(["rack1-01"]);
	});

	test("is measured by its source until the hand-over, whatever the process at the target takes", async () => {
		scene.fleet.holdAt = "copyMemory";
		const guestId = await scene.newGuest("measured");
		const { migrationId } = await scene.api.guests.migrate.mutate({
			guestId,
			targetHostId: scene.agent(1).identity.hostId,
		});
		await until("the copy", async () => scene.fleet.waiting === 1);
		scene.agent(0).measure(guestId, 0.5);
		scene.agent(1).measure(guestId, 0.01);
		await until("the source's sample", async () => (await scene.guest(guestId)).cpuUsed === 0.5);
		await until("the target's load", async () => {
			return (await scene.api.hosts.get.query({ hostId: scene.agent(1).identity.hostId })).cpuUsed === 0.01;
		});
		expect((await scene.guest(guestId)).cpuUsed).toBe(0.5);
		scene.fleet.letGo();
		await scene.moveEnded(migrationId);
	});

	test("can be called back while it copies, and the guest can move again", async () => {
		scene.fleet.holdAt = "copyMemory";
		const guestId = await scene.newGuest("called-back");
		const { migrationId } = await scene.api.guests.migrate.mutate({ guestId });
		await until("the copy", async () => scene.fleet.waiting === 1);
		await scene.api.migrations.cancel.mutate({ migrationId });
		expect(await scene.moveEnded(migrationId)).toMatchObject({ state: "cancelled" });
		scene.fleet.letGo();
		expect(scene.ownersOf(guestId)).toEqual(["rack1-01"]);
		const again = await scene.api.guests.migrate.mutate({ guestId });
		await scene.moveEnded(again.migrationId);
		// The cancelled move has used epoch 2 up.
		expect(await scene.guest(guestId)).toMatchObject({ epoch: 3 });
	});

	test("goes on when the console is killed in its middle; the new console finds where the guest is", async () => {
		scene.fleet.holdAt = "copyMemory";
		const guestId = await scene.newGuest("survivor");
		const { migrationId } = await scene.api.guests.migrate.mutate({ guestId });
		await until("the copy", async () => scene.fleet.waiting === 1);
		await scene.console.kill();
		scene.fleet.letGo();
		await until("the hand-over without a console", async () => scene.ownersOf(guestId)[0] !== "rack1-01");
		await scene.restart();
		expect(await scene.moveEnded(migrationId)).toMatchObject({ state: "completed" });
		const view = await scene.guest(guestId);
		expect(view).toMatchObject({ epoch: 2, state: "running", moving: null });
		expect(scene.ownersOf(guestId)).toEqual([view.host.name]);
	});

	test("whose start was swallowed is begun under the same permit by the next console", async () => {
		const guestId = await scene.newGuest("unsent");
		const source = scene.agent(0);
		source.deaf = true;
		source.commands.length = 0;
		const asked = scene.api.guests.migrate
			.mutate({ guestId, targetHostId: scene.agent(1).identity.hostId })
			.catch(() => "lost");
		await until("the start", async () => source.commands.includes("migration.start"));
		await scene.console.kill();
		expect(await asked).toBe("lost");
		source.deaf = false;
		await scene.restart();
		const { rows } = await scene.api.migrations.list.query({ guestId });
		expect(rows).toHaveLength(1);
		expect(await scene.moveEnded(rows[0]?.id ?? "")).toMatchObject({ state: "completed" });
		expect(scene.ownersOf(guestId)).toEqual(["rack1-02"]);
		expect(await scene.guest(guestId)).toMatchObject({ epoch: 2, moving: null, host: { name: "rack1-02" } });
	});
});

test("the serial console follows a guest to another host without losing or repeating a byte, and ends with the session", async () => {
	const guestId = await scene.newGuest("talker");
	const source = scene.agentOf((await scene.guest(guestId)).host.id);
	source.print(guestId, "1 2 3 ");
	const { ticket, path } = await scene.api.guests.openSerial.mutate({ guestId });
	const socket = new WebSocket(`ws://localhost:${scene.console.webPort}${path}`, {
		headers: { cookie: scene.browser.cookie, origin: scene.console.url },
	});
	let seen = "";
	socket.on("message", (data) => (seen += data.toString()));
	const closed = new Promise<number>((resolve) => socket.once("close", resolve));
	await new Promise((resolve) => socket.once("open", resolve));
	socket.send(ticket);
	await until("what was printed before", async () => seen === "1 2 3 ");
	socket.send("x");
	await until("what was typed", async () => seen === "1 2 3 <x>");
	const target = scene.agent(source === scene.agent(0) ? 1 : 0);
	target.print(guestId, "5 6 ");
	source.print(guestId, "4 ");
	const { migrationId } = await scene.api.guests.migrate.mutate({ guestId, targetHostId: target.identity.hostId });
	await scene.moveEnded(migrationId);
	await until("the target's words", async () => seen.endsWith("6 "));
	expect(seen).toBe("1 2 3 <x>4 5 6 ");
	const other = new Browser(scene.console);
	await other.api.session.signIn.mutate({ account: admin.userName, password: admin.password });
	await scene.api.session.signOut.mutate();
	expect(await closed).toBe(4401);
	scene.browser = other;
});

test("every step is in the event log, and its chain of hashes holds", async () => {
	expect(await scene.toldKinds()).toEqual(
		expect.arrayContaining(["host.joined", "guest.created", "migration.completed", "migration.cancelled"]),
	);
});
