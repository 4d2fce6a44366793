import { GuestId, newId, PointId, RepositoryId } from "@sterna/shared/ids";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BackupScene, nextAt } from "./testing/backup-scene.ts";
import { codeOf, until } from "./testing/console-process.ts";

let scene: BackupScene;
let repositoryId: string;
beforeAll(async () => {
	scene = await BackupScene.start();
	({ id: repositoryId } = await scene.newRepository("main"));
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});
// Whatever the time really is, schedules believe that their night is an hour ahead until it is told to come.
const night = nextAt(2);
beforeEach(() => scene.setClock(night - 3_600_000));
afterEach(async () => {
	scene.fleet.places.letGo();
	for (const { id } of (await scene.api.jobs.list.query({})).rows) await scene.api.jobs.remove.mutate({ id });
});

const runsOf = async (guestId: GuestId) => (await scene.api.runs.list.query({ guestId })).rows;
const pointsOf = async (guestId: GuestId) => (await scene.api.points.list.query({ guestId })).rows;
const runInState = (guestId: GuestId, state: string, timeoutMs?: number) =>
	until(`a run that is ${state}`, async () => (await runsOf(guestId)).find((run) => run.state === state), timeoutMs);
const startsOf = (index: number) => scene.agent(index).commands.filter((command) => command === "backup.start").length;

describe("a repository", () => {
	test("shows its key once; a job and a backup by hand need it confirmed, by the whole key or its last eight characters", async () => {
		const { api } = scene;
		const { id, recoveryKey } = await api.repositories.create.mutate({
			name: "second",
			place: { kind: "directory", name: "alone" },
		});
		expect(JSON.stringify(await api.repositories.get.query({ id }))).not.toContain(recoveryKey.slice(-40));
		const spec = scene.job(id, { name: "early" });
		expect(await codeOf(api.jobs.create.mutate({ spec }))).toBe("wrong_state");
		const guestId = await scene.newGuest("by-hand");
		expect(await codeOf(api.runs.start.mutate({ guestId, repositoryId: id }))).toBe("wrong_state");
		expect(await codeOf(api.repositories.confirmKey.mutate({ id, key: "aaaaaaaa" }))).toBe("invalid");
		await api.repositories.confirmKey.mutate({ id, key: recoveryKey.slice(-8) });
		await api.jobs.create.mutate({ spec });
		expect(await codeOf(api.repositories.remove.mutate({ id, name: "second" }))).toBe("conflict");
	});

	test("says what it holds soon after a backup, not minutes later", async () => {
		const { api } = scene;
		const pointsIn = async () => (await api.repositories.get.query({ id: repositoryId })).usage?.points ?? 0;
		const before = await pointsIn();
		await scene.backUp(await scene.newGuest("measured"), repositoryId);
		await until("the point to be counted", async () => (await pointsIn()) > before);
	});

	test("is not made twice in one place, nor under one name, nor where no host offers the folder", async () => {
		const { api } = scene;
		const create = (name: string, folder: string) =>
			api.repositories.create.mutate({ name, place: { kind: "directory", name: folder } });
		expect(await codeOf(create("other", "backups"))).toBe("conflict");
		expect(await codeOf(create("main", "backups"))).toBe("conflict");
		expect(await codeOf(create("other", "nowhere"))).toBe("unavailable");
		expect(await codeOf(create("other", "../backups"))).toBe("invalid");
		expect((await api.repositories.list.query({})).rows.map(({ name }) => name)).not.toContain("other");
	});

	test("gets a new key, that must be confirmed anew; the old one attaches nothing", async () => {
		const { api } = scene;
		const [second] = (await api.repositories.list.query({ filter: "second" })).rows;
		const id = second?.id ?? "";
		const { recoveryKey } = await api.repositories.replaceKey.mutate({ id });
		expect((await api.repositories.get.query({ id })).keyConfirmed).toBe(false);
		expect(scene.fleet.places.repositories.get("alone")?.key).toBe(recoveryKey);
		const decisions = (await api.overview.get.query()).decisions.map(({ title }) => title);
		expect(decisions).toContain("Write down the recovery key of second");
	});

	test("has a key that is known after a host refused with the new one written, and after two replacements at once", async () => {
		const { api, fleet } = scene;
		const [second] = (await api.repositories.list.query({ filter: "second" })).rows;
		const id = second?.id ?? "";
		fleet.places.keyFailure = "the old slot cannot be removed";
		expect(await codeOf(api.repositories.replaceKey.mutate({ id }))).toBe("forbidden");
		fleet.places.keyFailure = null;
		const replace = async () => (await api.repositories.replaceKey.mutate({ id })).recoveryKey;
		expect(await Promise.all([replace(), replace()])).toContain(fleet.places.repositories.get("alone")?.key);
		expect(await replace()).toBe(fleet.places.repositories.get("alone")?.key);
	});

	test("is attached after a disaster by its place and key alone, with all its points; a wrong key opens nothing", async () => {
		const { api } = scene;
		const [second] = (await api.repositories.list.query({ filter: "second" })).rows;
		const id = second?.id ?? "";
		const { recoveryKey } = await api.repositories.replaceKey.mutate({ id });
		await api.repositories.confirmKey.mutate({ id, key: recoveryKey });
		const guestId = await scene.newGuest("lost");
		const made = [await scene.backUp(guestId, id), await scene.backUp(guestId, id), await scene.backUp(guestId, id)];
		await api.repositories.remove.mutate({ id, name: "second" });
		expect(await pointsOf(guestId)).toEqual([]);
		const place = { kind: "directory", name: "alone" } as const;
		const wrong = (await scene.api.repositories.create.mutate({ name: "x", place }).catch(() => null)) ?? {
			recoveryKey: "",
		};
		expect(wrong.recoveryKey).toBe("");
		const otherKey = scene.fleet.places.repositories.get("backups")?.key ?? "";
		expect(await codeOf(api.repositories.attach.mutate({ name: "second", place, key: otherKey }))).toBe("forbidden");
		expect(
			await codeOf(api.repositories.attach.mutate({ name: "second", place, key: recoveryKey.replace(/.$/, "b") })),
		).toBe("invalid");
		await api.repositories.attach.mutate({ name: "second", place, key: recoveryKey });
		expect((await pointsOf(guestId)).map((point) => point.id).sort()).toEqual(made.sort());
		expect(await codeOf(api.repositories.attach.mutate({ name: "third", place, key: recoveryKey }))).toBe("conflict");
	});
});

describe("a job", () => {
	test("runs on its schedule for the guests that carry its tag, once, and says what it did", async () => {
		const { api } = scene;
		const guestId = await scene.newGuest("nightly-1", { tags: ["nightly"] });
		const other = await scene.newGuest("other-1");
		const { id } = await api.jobs.create.mutate({ spec: scene.job(repositoryId, { name: "nightly" }) });
		expect((await api.protection.get.query({ guestId })).state).not.toBe("protected");
		await scene.setClock(night + 1000);
		const run = await runInState(guestId, "completed");
		expect(run).toMatchObject({ job: { id }, attempt: 1, requestedBy: "job nightly" });
		await until("the job's outcome", async () => (await api.jobs.get.query({ id })).lastRun?.state === "completed");
		expect(await pointsOf(guestId)).toMatchObject([{ id: run.pointId, job: { id }, consistency: "application" }]);
		expect(await runsOf(other)).toEqual([]);
		await until("protection", async () => (await api.guests.get.query({ guestId })).protection?.state === "protected");
		await scene.told("backup.completed", guestId);
		expect(await runsOf(guestId)).toHaveLength(1);
	});

	test("goes on after the console was killed in the middle of its run; the run is not made twice", async () => {
		const { api, fleet } = scene;
		const guestId = await scene.newGuest("killed-1", { tags: ["killed"] });
		await api.jobs.create.mutate({ spec: scene.job(repositoryId, { name: "killed" }) });
		fleet.places.holdBackups = true;
		await scene.setClock(night + 1000);
		await until("the agent's start", async () =>
			[...scene.agent(0).backups.values()].some((report) => report.guestId === guestId),
		);
		expect(await runsOf(guestId)).toMatchObject([{ state: "running" }]);
		await scene.console.killAndRestart();
		for (const agent of scene.agents) await agent.reconnect();
		fleet.places.letGo();
		const { pointId } = await runInState(guestId, "completed");
		expect((await pointsOf(guestId)).map(({ id }) => id)).toEqual([pointId]);
		expect(await runsOf(guestId)).toHaveLength(1);
	});

	test("asks again for a start whose answer was lost: one point comes of it", async () => {
		const { api } = scene;
		const agent = scene.agent(0);
		const guestId = await scene.newGuest("unheard-1");
		agent.instead.set("backup.start", "swallow");
		const before = startsOf(0);
		const { pointId } = await api.runs.start.mutate({ guestId, repositoryId });
		await until("the lost start", async () => startsOf(0) > before);
		agent.instead.clear();
		await agent.disconnect();
		await agent.reconnect();
		await until("its end", async () => (await api.runs.get.query({ pointId })).state === "completed");
		expect(await pointsOf(guestId)).toHaveLength(1);
	});

	test("is missed, with the reason, for a guest whose host is offline until the window ends", async () => {
		const { api } = scene;
		const guestId = await scene.newGuest("offline-1", { on: 1, tags: ["offline"] });
		const { id } = await api.jobs.create.mutate({ spec: scene.job(repositoryId, { name: "offline" }) });
		await scene.agent(1).disconnect();
		await until("the host to be missed", async () => !(await api.guests.get.query({ guestId })).hostOnline);
		await scene.setClock(night + 1000);
		const waiting = await until("the reason", async () =>
			(await runsOf(guestId)).find(({ waitsFor }) => waitsFor?.includes("out of reach")),
		);
		expect(waiting.state).toBe("scheduled");
		await scene.setClock(night + 61 * 60_000);
		expect(await runInState(guestId, "missed")).toMatchObject({
			errorMessage: expect.stringContaining("rack1-02 is out of reach"),
		});
		expect((await api.jobs.get.query({ id })).lastRun?.state).toBe("missed");
		await scene.told("backup.missed", guestId);
		await scene.agent(1).reconnect();
	});

	test("tries again what failed, as a new point, and gives up after its retries", async () => {
		const { api } = scene;
		const guestId = await scene.newGuest("retry-1", { tags: ["retry"] });
		await api.jobs.create.mutate({
			spec: scene.job(repositoryId, { name: "retry", retries: 1, retryAfterMinutes: 1 }),
		});
		scene.fleet.places.specs.delete(guestId);
		await scene.setClock(night + 1000);
		await runInState(guestId, "failed");
		await runInState(guestId, "scheduled");
		await scene.setClock(night + 120_000);
		await until(
			"two failures",
			async () => (await runsOf(guestId)).filter(({ state }) => state === "failed").length === 2,
		);
		const runs = await runsOf(guestId);
		expect(new Set(runs.map(({ pointId }) => pointId)).size).toBe(2);
		expect(runs.map(({ attempt }) => attempt).sort()).toEqual([1, 2]);
		await until("failing", async () => (await api.protection.get.query({ guestId })).state === "failing");
	});

	test("saves a guest at its new host when it moved away in the middle of its run", async () => {
		const { api, fleet } = scene;
		const guestId = await scene.newGuest("mover-1");
		fleet.places.holdBackups = true;
		const { pointId } = await api.runs.start.mutate({ guestId, repositoryId });
		const [first] = await until("the run", async () => {
			const found = [...scene.agent(0).backups.values()].filter((report) => report.pointId === pointId);
			return found.length > 0 && found;
		});
		await api.guests.migrate.mutate({ guestId, targetHostId: scene.agent(1).identity.hostId });
		await until("the move", async () => (await api.guests.get.query({ guestId })).host.name === "rack1-02");
		if (!first) throw new Error("no run");
		const gaveWay = { ...first, generation: 5, state: "cancelled" as const, endedAt: Date.now() };
		scene.agent(0).backups.set(first.pointId, gaveWay);
		scene.agent(0).tell({ type: "backup.changed", backup: gaveWay });
		fleet.places.letGo();
		expect(await runInState(guestId, "completed")).toMatchObject({ host: { name: "rack1-02" }, attempt: 1 });
	});

	test("takes turns with another job on the same guest", async () => {
		const { api, fleet } = scene;
		const guestId = await scene.newGuest("shared-1", { tags: ["first", "second"] });
		for (const name of ["first", "second"]) await api.jobs.create.mutate({ spec: scene.job(repositoryId, { name }) });
		fleet.places.holdBackups = true;
		await scene.setClock(night + 1000);
		await runInState(guestId, "running");
		const waiting = await until("the other", async () =>
			(await runsOf(guestId)).find(({ waitsFor }) => waitsFor?.includes("another backup")),
		);
		expect(waiting.state).toBe("scheduled");
		fleet.places.letGo();
		await until("both points", async () => (await pointsOf(guestId)).length === 2);
	});

	test("removes by its retention after each run what no rule keeps; a protected point stays", async () => {
		const { api, fleet } = scene;
		const guestId = await scene.newGuest("kept-1", { tags: ["kept"] });
		const points = [await scene.backUp(guestId, repositoryId), await scene.backUp(guestId, repositoryId)];
		await api.points.protect.mutate({ id: points[0] ?? "", reason: "before the upgrade" });
		expect(await codeOf(api.points.remove.mutate({ ids: points }))).toBe("wrong_state");
		const retention = { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
		const spec = scene.job(repositoryId, { name: "kept", retention });
		const preview = await api.jobs.preview.query({ spec });
		expect(preview.wouldRemove).toEqual([]);
		expect(preview.plans).toMatchObject([{ guest: { id: guestId }, plan: { refusals: [] } }]);
		expect(preview.warnings.join()).toContain("the repository lies on the same disk as pool local");
		const { id } = await api.jobs.create.mutate({ spec });
		await api.jobs.runNow.mutate({ id });
		const left = await until("two points", async () => {
			const rows = await pointsOf(guestId);
			return rows.length === 2 && !rows.some((point) => point.id === points[1]) && rows;
		});
		expect(left.map((point) => point.protectedBy)).toContain("ann: before the upgrade");
		await until(
			"the repository follows",
			async () => !fleet.places.repositories.get("backups")?.points.has(PointId.parse(points[1])),
		);
	});

	test("with no guest to take is not run by hand, and its preview says so", async () => {
		const spec = scene.job(repositoryId, { name: "nobody" });
		expect((await scene.api.jobs.preview.query({ spec })).warnings).toContain("it takes no guest at the moment");
		const { id } = await scene.api.jobs.create.mutate({ spec });
		expect(await codeOf(scene.api.jobs.runNow.mutate({ id }))).toBe("wrong_state");
	});

	test.each([
		["a schedule of every second", { cron: "* * * * * *" }],
		["a schedule of every minute", { cron: "* * * * *" }],
		["a time zone that is a path", { timeZone: "../../" }],
		[
			"a retention that keeps nothing",
			{ retention: { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 } },
		],
		["a repository that is not there", { repositoryId: newId(RepositoryId) }],
	])("with %s is refused", async (_, change) => {
		const spec = { ...scene.job(repositoryId, { name: "bad" }), ...change };
		expect(await codeOf(scene.api.jobs.create.mutate({ spec }))).toBe(
			"repositoryId" in change ? "not_found" : "invalid",
		);
	});
});

describe("hosts are believed only about what they were asked to do", () => {
	test("a backup that nobody ordered is refused and told, and makes no point", async () => {
		const guestId = await scene.newGuest("claimed-1");
		const pointId = newId(PointId);
		const agent = scene.agent(1);
		agent.tell({
			type: "backup.changed",
			backup: {
				...{
					pointId,
					guestId,
					repositoryId: RepositoryId.parse(repositoryId),
					hostId: agent.identity.hostId,
					generation: 1,
				},
				...{
					state: "running",
					phase: "copyBlocks",
					startedAt: 1,
					endedAt: null,
					frozenMs: null,
					totalBytes: 1,
					readBytes: 0,
				},
				...{ storedBytes: 0, slowedBy: null, volumes: [], point: null, error: null, journal: [] },
			},
		});
		await scene.told("host.reportRefused", agent.identity.hostId);
		expect(await pointsOf(guestId)).toEqual([]);
		expect(await codeOf(scene.api.runs.get.query({ pointId }))).toBe("not_found");
	});
});

test("an unknown guest, repository, job, run, point or restore is not found, whatever is asked of it", async () => {
	const { api } = scene;
	const id = crypto.randomUUID();
	const guestId = newId(GuestId);
	const check = { kind: "guestAgent" } as const;
	const cron = { cron: "0 2 * * *", timeZone: "UTC" };
	const spec = scene.job(repositoryId, { name: "foreign" });
	const calls: Promise<unknown>[] = [
		...[
			api.repositories.get.query({ id }),
			api.repositories.confirmKey.mutate({ id, key: "12345678" }),
			api.repositories.replaceKey.mutate({ id }),
		],
		...[api.repositories.upkeep.mutate({ id, kind: "scrub" }), api.repositories.setScrub.mutate({ id, ...cron })],
		...[
			api.repositories.remove.mutate({ id, name: "main" }),
			api.jobs.get.query({ id }),
			api.jobs.update.mutate({ id, spec }),
		],
		...[
			api.jobs.preview.query({ spec, id }),
			api.jobs.setEnabled.mutate({ id, enabled: true }),
			api.jobs.runNow.mutate({ id }),
		],
		...[api.jobs.remove.mutate({ id }), api.runs.get.query({ pointId: id }), api.runs.cancel.mutate({ pointId: id })],
		...[
			api.runs.start.mutate({ guestId, repositoryId }),
			api.points.get.query({ id }),
			api.points.protect.mutate({ id, reason: "x" }),
		],
		...[api.points.unprotect.mutate({ id }), api.points.remove.mutate({ ids: [id] })],
		api.points.retention.query({ guestId, retention: spec.retention, timeZone: "UTC" }),
		...[
			api.points.fileSystems.query({ id, volumeId: id }),
			api.points.files.query({ id, volumeId: id, device: "/dev/sda1", folder: "/" }),
		],
		api.points.downloadTicket.mutate({ id, volumeId: id, device: "/dev/sda1", path: "/etc/hosts" }),
		...[api.protection.get.query({ guestId }), api.restores.get.query({ id }), api.restores.cancel.mutate({ id })],
		...[
			api.restores.screenshot.query({ id }),
			api.restores.drill.mutate({ guestId, check }),
			api.restores.drill.mutate({ pointId: id, check }),
		],
		api.restores.plan.query({ pointId: id, mode: "copy", target: { kind: "over" } }),
		api.restores.start.mutate({
			pointId: id,
			mode: "instant",
			target: { kind: "new", name: "x", connectNetworks: false },
		}),
		...[
			api.guests.setTags.mutate({ id: guestId, tags: [] }),
			api.guests.growVolume.mutate({ id: guestId, volumeId: id, sizeBytes: 2 ** 30 }),
		],
		api.guests.attachVolume.mutate({ id: guestId, pool: "local", sizeBytes: 2 ** 30 }),
		api.guests.moveVolume.mutate({ id: guestId, volumeId: id, pool: "local" }),
		api.demo.breakRepository.mutate({ id }),
	];
	expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => "not_found"));
});
