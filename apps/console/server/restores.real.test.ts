import { SternaError } from "@sterna/shared/errors";
import { type GuestId, VolumeId } from "@sterna/shared/ids";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackupScene, nextAt, toNew } from "./testing/backup-scene.ts";
import { Browser, codeOf, until } from "./testing/console-process.ts";

let scene: BackupScene;
let repositoryId: string;
let guestId: GuestId;
let pointId: string;
beforeAll(async () => {
	scene = await BackupScene.start();
	({ id: repositoryId } = await scene.newRepository("main"));
	guestId = await scene.newGuest("web-1", { tags: ["proved"] });
	pointId = await scene.backUp(guestId, repositoryId);
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});
afterEach(() => {
	for (const agent of scene.agents) agent.instead.clear();
	scene.fleet.places.drillFailure = null;
	scene.fleet.places.restoreFailure = null;
	scene.fleet.places.restoresWait = false;
});

const ended = (id: string) => scene.restoreEnded(id);
const guestNamed = (name: string) => scene.guestNamed(name);

describe("to a new guest", () => {
	test("the plan names the hosts, the steps and the new identity, and changes nothing", async () => {
		const plan = await scene.api.restores.plan.query({ pointId, mode: "copy", target: toNew("web-2") });
		expect(plan.refusals).toEqual([]);
		expect(plan.hosts.filter(({ chosen }) => chosen)).toHaveLength(1);
		expect(plan.spec).toMatchObject({ name: "web-2", nics: [] });
		const old = (await scene.api.guests.get.query({ guestId })).spec;
		expect(plan.spec.id).not.toBe(old.id);
		expect(plan.spec.volumes.map(({ id }) => id)).not.toEqual(old.volumes.map(({ id }) => id));
		expect(await guestNamed("web-2")).toBeUndefined();
	});

	test("it comes up as a guest of its own, without networks, and its story is told", async () => {
		const { api } = scene;
		const { id } = await api.restores.start.mutate({ pointId, mode: "instant", target: toNew("web-2") });
		expect(await ended(id)).toMatchObject({ state: "completed", target: { name: "web-2" }, requestedBy: "ann" });
		const restored = await until(
			"the guest",
			async () => (await guestNamed("web-2"))?.state === "running" && guestNamed("web-2"),
		);
		expect(restored?.networks).toEqual([]);
		await scene.told("restore.completed", id);
		expect(await scene.eventKinds(id)).toEqual(["restore.completed", "restore.started"]);
		expect(await codeOf(api.restores.cancel.mutate({ id }))).toBe("wrong_state");
		expect(await codeOf(api.restores.start.mutate({ pointId, mode: "copy", target: toNew("web-2") }))).toBe("conflict");
	});

	test("networks that are asked for get new addresses", async () => {
		const target = { ...toNew("web-3"), connectNetworks: true };
		const { spec } = await scene.api.restores.plan.query({ pointId, mode: "copy", target });
		const [old] = (await scene.api.guests.get.query({ guestId })).spec.nics;
		expect(spec.nics).toMatchObject([{ network: "lan" }]);
		expect(spec.nics[0]?.mac).not.toBe(old?.mac);
	});

	test("of a restore that the host refuses nothing is left", async () => {
		for (const agent of scene.agents)
			agent.instead.set("restore.start", new SternaError("no_capacity", "the pool is full"));
		expect(await codeOf(scene.api.restores.start.mutate({ pointId, mode: "copy", target: toNew("web-4") }))).toBe(
			"no_capacity",
		);
		expect(await guestNamed("web-4")).toBeUndefined();
		const [failed] = (await scene.api.restores.list.query({ filter: "web-4" })).rows;
		expect(failed).toMatchObject({ state: "failed", errorMessage: "the pool is full" });
	});

	test("of a point that is removed while the hosts are still being asked is not found, and nothing is left", async () => {
		const { api, fleet } = scene;
		const leaving = await scene.backUp(guestId, repositoryId);
		fleet.places.holdInspections = true;
		for (const agent of scene.agents) {
			agent.commands.length = 0;
			await agent.disconnect();
			await agent.connect();
		}
		const start = codeOf(api.restores.start.mutate({ pointId: leaving, mode: "copy", target: toNew("late") }));
		await until("the question", async () =>
			scene.agents.every(({ commands }) => commands.includes("repository.inspect")),
		);
		await api.points.remove.mutate({ ids: [leaving] });
		fleet.places.letGo();
		expect(await start).toBe("not_found");
		expect(await guestNamed("late")).toBeUndefined();
	});

	test("one whose order was lost goes on after the console was killed", async () => {
		for (const agent of scene.agents) agent.instead.set("restore.start", "swallow");
		const orders = () =>
			scene.agents.flatMap(({ commands }) => commands.filter((command) => command === "restore.start")).length;
		const before = orders();
		const asked = scene.api.restores.start.mutate({ pointId, mode: "copy", target: toNew("web-5") }).catch(() => null);
		await until("the order", async () => orders() > before);
		await scene.console.killAndRestart();
		await asked;
		for (const agent of scene.agents) {
			agent.instead.clear();
			await agent.reconnect();
		}
		const [restore] = await until(
			"the restore",
			async () => (await scene.api.restores.list.query({ filter: "web-5" })).rows,
		);
		expect(await ended(restore?.id ?? "")).toMatchObject({ state: "completed" });
		expect((await guestNamed("web-5"))?.name).toBe("web-5");
	});
});

describe("one that waits for its repository", () => {
	test("gets the key anew once its host is back; until it has ended the key is not replaced", async () => {
		const { api, fleet } = scene;
		fleet.places.restoresWait = true;
		const { id } = await api.restores.start.mutate({ pointId, mode: "copy", target: toNew("web-6") });
		await until("it to wait", async () => (await api.restores.get.query({ id })).state === "waiting");
		expect(await codeOf(api.repositories.replaceKey.mutate({ id: repositoryId }))).toBe("conflict");
		for (const agent of scene.agents) await agent.disconnect();
		fleet.places.restoresWait = false;
		for (const agent of scene.agents) await agent.connect();
		expect((await ended(id)).state).toBe("completed");
	});
});

describe("one that never gets there", () => {
	test("is ended by an admin: its guest stays, and the log says who asked, also when no answer came", async () => {
		const { api, fleet, agents } = scene;
		fleet.places.restoresWait = true;
		const { id } = await api.restores.start.mutate({ pointId, mode: "instant", target: toNew("web-9") });
		await until("it can be given up", async () => {
			const { giveUpRefusal, state } = await api.restores.get.query({ id });
			return state === "waiting" && giveUpRefusal === null;
		});
		await scene.console.inDatabase(`update users set name = 'bob' where name = 'ann'`);
		for (const agent of agents) agent.instead.set("restore.giveUp", new SternaError("unavailable", "it was lost"));
		expect(await codeOf(api.restores.giveUp.mutate({ id }))).toBe("unavailable");
		expect(await scene.eventKinds(id)).toEqual(["restore.giveUpRequested", "restore.started"]);
		for (const agent of agents) agent.instead.delete("restore.giveUp");
		await api.restores.giveUp.mutate({ id });
		await scene.console.inDatabase(`update users set name = 'ann' where name = 'bob'`);
		expect(await ended(id)).toMatchObject({ state: "failed" });
		expect((await guestNamed("web-9"))?.state).toBe("stopped");
		await scene.told("restore.failed", id);
		const requests = ["restore.giveUpRequested", "restore.giveUpRequested"];
		expect(await scene.eventKinds(id)).toEqual(["restore.failed", ...requests, "restore.started"]);
		const { rows } = await api.events.list.query({ objectId: id });
		expect(rows.map(({ actor }) => actor)).toEqual(["bob", "bob", "bob", "ann"]);
		expect(await codeOf(api.restores.giveUp.mutate({ id }))).toBe("wrong_state");
	});
});

describe("over an existing guest", () => {
	test("a running one is refused", async () => {
		const request = { pointId, mode: "copy", target: { kind: "over" } } as const;
		expect((await scene.api.restores.plan.query(request)).refusals[0]?.code).toBe("wrong_state");
		expect(await codeOf(scene.api.restores.start.mutate(request))).toBe("wrong_state");
	});

	test("a stopped one keeps its identity and gets a higher epoch, so that nobody else starts it meanwhile", async () => {
		const { api } = scene;
		await api.guests.powerOff.mutate({ guestId });
		const before = await api.guests.get.query({ guestId });
		const { id } = await api.restores.start.mutate({ pointId, mode: "copy", target: { kind: "over" } });
		await ended(id);
		const after = await until("it runs", async () => {
			const guest = await api.guests.get.query({ guestId });
			return guest.state === "running" && guest;
		});
		expect(after.epoch).toBe(before.epoch + 1);
		expect(after.spec).toEqual(before.spec);
	});

	test("one disk of a point is added to a stopped guest; a disk that the point does not have is not found", async () => {
		const { api } = scene;
		const into = await scene.newGuest("db-1", { start: false });
		const [volume] = (await api.points.get.query({ id: pointId })).volumes;
		const target = { kind: "disk" as const, volumeId: volume?.volumeId ?? "", intoGuestId: into };
		const foreign = { ...target, volumeId: VolumeId.parse(crypto.randomUUID()) };
		expect(await codeOf(api.restores.start.mutate({ pointId, mode: "copy", target: foreign }))).toBe("not_found");
		const { id } = await api.restores.start.mutate({ pointId, mode: "copy", start: false, target });
		await ended(id);
		await until("two disks", async () => (await api.guests.get.query({ guestId: into })).spec.volumes.length === 2);
	});

	test("one that fails before the disks took their place leaves the guest as it was, and believes its host throughout", async () => {
		const { api, fleet } = scene;
		const id = await scene.newGuest("db-3");
		const point = await scene.backUp(id, repositoryId);
		await api.guests.powerOff.mutate({ guestId: id });
		const { epoch } = await api.guests.get.query({ guestId: id });
		fleet.places.restoreFailure = "the repository is gone";
		const restore = await api.restores.start.mutate({ pointId: point, mode: "copy", target: { kind: "over" } });
		expect((await ended(restore.id)).state).toBe("failed");
		expect((await api.guests.get.query({ guestId: id })).epoch).toBe(epoch);
		expect((await api.guests.start.mutate({ guestId: id })).state).toBe("running");
		expect(await scene.eventKinds(scene.agent(0).identity.hostId)).not.toContain("host.reportRefused");
	});

	test("a refusal of the host leaves the guest as it was: it starts as before", async () => {
		const { api } = scene;
		const id = await scene.newGuest("db-2", { start: false });
		await api.guests.start.mutate({ guestId: id });
		const point = await scene.backUp(id, repositoryId);
		await api.guests.powerOff.mutate({ guestId: id });
		for (const agent of scene.agents) agent.instead.set("restore.start", new SternaError("no_capacity", "no room"));
		expect(await codeOf(api.restores.start.mutate({ pointId: point, mode: "copy", target: { kind: "over" } }))).toBe(
			"no_capacity",
		);
		await api.guests.start.mutate({ guestId: id });
		expect((await api.guests.get.query({ guestId: id })).state).toBe("running");
	});
});

describe("a database that is late with reports", () => {
	test("does not make a run or a restore that has ended stand as one under way, nor keep the guest from its next backup", async () => {
		const { api } = scene;
		const id = await scene.newGuest("slow-1");
		await scene.withLateReports(async () => {
			const point = await scene.backUp(id, repositoryId);
			const restore = await api.restores.start.mutate({ pointId: point, mode: "copy", target: toNew("slow-2") });
			await ended(restore.id);
			// Everything late has arrived when a later run, which waits for the same, is there.
			const next = await scene.backUp(id, repositoryId);
			for (const pointId of [point, next]) expect((await api.runs.get.query({ pointId })).state).toBe("completed");
			expect((await api.restores.get.query({ id: restore.id })).state).toBe("completed");
		});
	});
});

describe("drills", () => {
	const check = { kind: "guestAgent" } as const;

	test("a point is proved: how long it took stands at the guest, and nothing of the drill is left", async () => {
		const { api } = scene;
		const { id } = await api.restores.drill.mutate({ guestId, check });
		expect(await ended(id)).toMatchObject({ state: "completed", provedAfterMs: 2400, hasScreenshot: true });
		expect((await api.points.get.query({ id: pointId })).proof).toMatchObject({ ok: true, provedAfterMs: 2400 });
		expect((await api.protection.get.query({ guestId })).measuredRecoveryMs).toBe(2400);
		expect((await api.restores.screenshot.query({ id })).png).toBe(Buffer.from("png").toString("base64"));
		expect((await api.guests.list.query({ filter: "drill-" })).rows).toEqual([]);
	});

	test("one that fails is told, and somebody is asked to look", async () => {
		const { api, fleet } = scene;
		fleet.places.drillFailure = "the guest agent did not answer within 5 min";
		const { id } = await api.restores.drill.mutate({ pointId, check });
		expect((await ended(id)).errorMessage).toMatch(/did not answer/);
		const { decisions } = await api.overview.get.query();
		expect(decisions.map(({ title }) => title)).toContain("The backup of web-1 could not be proved");
	});

	test("a job's drills prove each guest's newest point by themselves", async () => {
		const { api } = scene;
		const fresh = await scene.backUp(guestId, repositoryId);
		const spec = scene.job(repositoryId, { name: "proved", cron: "0 12 * * *", drill: { cron: "0 3 * * *", check } });
		const due = nextAt(3);
		await scene.setClock(due - 60_000);
		const { id } = await api.jobs.create.mutate({ spec });
		await scene.setClock(due + 1000);
		await until("the proof", async () => (await api.points.get.query({ id: fresh })).proof?.ok);
		const drills = (await api.restores.list.query({ pointId: fresh, mode: ["drill"] })).rows;
		expect(drills).toMatchObject([{ requestedBy: "job proved" }]);
		await api.demo.setClockOffset.mutate({ ms: 0 });
		await api.jobs.remove.mutate({ id });
	});
});

describe("damage", () => {
	test("that a scrub finds makes the repository red, names the guest, and is over when a scrub finds nothing", async () => {
		const { api, fleet } = scene;
		const [newest] = (await api.points.list.query({ guestId })).rows;
		const repository = fleet.places.repositories.get("backups");
		const volumeId = newest?.volumes[0]?.volumeId;
		if (!repository || !newest || !volumeId) throw new Error("no point");
		const ranges = [{ from: 0, to: 65_536 }];
		const points = [{ pointId: newest.id, guestId, guestName: "web-1", volumeId, ranges }];
		repository.damages = [{ object: "packs/1", text: "altered", points }];
		await api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" });
		const red = await until("red", async () => {
			const view = await api.repositories.get.query({ id: repositoryId });
			return view.health === "damaged" && view;
		});
		expect(red.damages).toHaveLength(1);
		await until("the guest", async () => (await api.protection.get.query({ guestId })).state === "damaged");
		expect((await api.points.get.query({ id: newest.id })).damage).toMatch(/altered; 65536 bytes/);
		await scene.told("repository.damaged", repositoryId);
		expect((await api.overview.get.query()).decisions[0]?.title).toBe("main is damaged");

		repository.damages = [];
		await until(
			"the first scrub's end",
			async () => (await api.repositories.get.query({ id: repositoryId })).running.length === 0,
		);
		await api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" });
		await until(
			"whole again",
			async () => (await api.repositories.get.query({ id: repositoryId })).health === "healthy",
		);
		expect((await api.points.get.query({ id: newest.id })).damage).toBeNull();
	});
});

describe("files inside a point", () => {
	const path = "/etc/<b>hosts</b>.html";
	const ticketFor = async (file: string) => {
		const { volumes } = await scene.api.points.get.query({ id: pointId });
		const volumeId = volumes[0]?.volumeId ?? "";
		return scene.api.points.downloadTicket.mutate({ id: pointId, volumeId, device: "/dev/sda1", path: file });
	};

	test("are downloaded once, as something to keep and never to show", async () => {
		const { url } = await ticketFor(path);
		const response = await scene.browser.fetch(url);
		expect(await response.text()).toBe("127.0.0.1 localhost");
		expect(response.headers.get("content-type")).toBe("application/octet-stream");
		expect(response.headers.get("x-content-type-options")).toBe("nosniff");
		expect(response.headers.get("content-disposition")).toMatch(/^attachment; filename="/);
		expect(response.headers.get("content-security-policy")).toContain("sandbox");
		expect((await scene.browser.fetch(url)).status).toBe(403);
	});

	test("are for the session that asked, and nobody else", async () => {
		const { url } = await ticketFor(path);
		expect((await new Browser(scene.console).fetch(url)).status).toBe(403);
		expect((await scene.browser.fetch(url)).status).toBe(403);
		expect((await scene.browser.fetch("/api/files/guessed")).status).toBe(403);
	});

	test("that are not there are an answer of their own, not an empty file", async () => {
		const { url } = await ticketFor("/etc/nothing");
		expect((await scene.browser.fetch(url)).status).toBe(404);
	});

	test("of another point's disk are not found", async () => {
		const other = { id: pointId, volumeId: crypto.randomUUID(), device: "/dev/sda1" };
		expect(await codeOf(scene.api.points.files.query({ ...other, folder: "/" }))).toBe("not_found");
		expect(await codeOf(scene.api.points.downloadTicket.mutate({ ...other, path }))).toBe("not_found");
	});
});

describe("disks of guests", () => {
	test("grow, never shrink; are attached; move to another pool", async () => {
		const { api } = scene;
		const id = await scene.newGuest("disks-1");
		const [volume] = (await api.guests.get.query({ guestId: id })).spec.volumes;
		if (!volume) throw new Error("no volume");
		const volumeId = volume.id;
		const grown = volume.sizeBytes * 2;
		expect(await codeOf(api.guests.growVolume.mutate({ id, volumeId, sizeBytes: volume.sizeBytes / 2 }))).toBe(
			"invalid",
		);
		await api.guests.growVolume.mutate({ id, volumeId, sizeBytes: grown });
		const added = await api.guests.attachVolume.mutate({ id, pool: "local", sizeBytes: volume.sizeBytes });
		await api.guests.moveVolume.mutate({ id, volumeId, pool: "shared" });
		expect(await codeOf(api.guests.moveVolume.mutate({ id, volumeId, pool: "nowhere" }))).toBe("not_found");
		expect(await codeOf(api.guests.attachVolume.mutate({ id, pool: "local", sizeBytes: 2 ** 50 }))).toBe("invalid");
		const { spec } = await api.guests.get.query({ guestId: id });
		expect(spec.volumes).toEqual([
			{ ...volume, sizeBytes: grown, pool: "shared" },
			{ id: added.volumeId, pool: "local", sizeBytes: volume.sizeBytes },
		]);
	});
});
