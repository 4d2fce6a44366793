import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BackupScene, toNew } from "./testing/backup-scene.ts";
import { codeOf, until } from "./testing/console-process.ts";

// What becomes of restores and upkeep when their host, or the database, lets them down.

let scene: BackupScene;
let repositoryId: string;
let pointId: string;
beforeAll(async () => {
	scene = await BackupScene.start();
	({ id: repositoryId } = await scene.newRepository("main"));
	pointId = await scene.backUp(await scene.newGuest("web-1"), repositoryId);
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});
afterEach(() => {
	for (const agent of scene.agents) agent.instead.clear();
	scene.fleet.places.restoresWait = false;
});

const ended = (id: string) => scene.restoreEnded(id);
const guestNamed = (name: string) => scene.guestNamed(name);

describe("an end that the database does not take", () => {
	test.each(["restores", "upkeeps"])("of %s is told again, and is the end then", async (table) => {
		const { api, console, agents } = scene;
		await console.inDatabase(`
			create sequence refusals;
			create function refuse_once() returns trigger language plpgsql as $$ begin
				if nextval('refusals') = 1 then raise exception 'no room on the disk'; end if;
				return new;
			end $$;
			create trigger refuse_end before update on ${table} for each row when (new.ended_at is not null)
				execute function refuse_once();`);
		const restore = table === "restores" && { pointId, mode: "copy" as const, target: toNew("told-again") };
		const begun = restore && (await api.restores.start.mutate(restore));
		if (!begun) await api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" });
		const cut = await until("the cut", async () => agents.find(({ socket }) => socket?.readyState === socket?.CLOSED));
		await console.inDatabase("drop function refuse_once cascade; drop sequence refusals");
		cut.resumes = true;
		await cut.reconnect();
		if (begun) expect((await ended(begun.id)).state).toBe("completed");
		await until(
			"the rounds' end",
			async () => (await api.repositories.get.query({ id: repositoryId })).running.length === 0,
		);
		cut.resumes = false;
	});
});

describe("a host that does not name a restore among what it knows", () => {
	test("has lost it when it had taken it on before it connected, and may speak from before the order when not", async () => {
		const { api, fleet, agents } = scene;
		fleet.places.restoresWait = true;
		const { id } = await api.restores.start.mutate({ pointId, mode: "copy", target: toNew("forgotten") });
		const host = await until("its host", async () =>
			agents.find(({ restores }) => [...restores.keys()].some((one) => one === id)),
		);
		await until("it to wait", async () => (await api.restores.get.query({ id })).state === "waiting");
		// What waits is given its key again from time to time: an order that would bring it back to mind.
		host.instead.set("restore.start", "swallow");
		host.restores.clear();
		host.tellRaw(host.snapshot());
		// Reports are taken in one after the other: with the later one the list was, too.
		const one = await scene.newGuest("later", { on: agents.indexOf(host) });
		await until("the later report", async () => (await api.guests.get.query({ guestId: one })).state === "running");
		expect((await api.restores.get.query({ id })).endedAt).toBeNull();
		await host.disconnect();
		await host.connect();
		expect(await ended(id)).toMatchObject({ state: "failed", errorMessage: expect.stringMatching(/knows nothing/) });
		expect(await guestNamed("forgotten")).toBeUndefined();
	});
});

describe("a scrub that was given up because its host was silent for hours", () => {
	test("is told with what it found when the host is heard again, beside what others found meanwhile", async () => {
		const { api, console, agents } = scene;
		const repository = () => api.repositories.get.query({ id: repositoryId });
		await api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" });
		await until("its end", async () => (await repository()).running.length === 0);
		const [host, report] =
			agents
				.flatMap((agent) => [...agent.upkeeps.values()].map((one) => [agent, one] as const))
				.filter(([, { kind }]) => kind === "scrub")
				.sort(([, one], [, other]) => one.startedAt - other.startedAt)
				.at(-1) ?? [];
		if (!host || !report) throw new Error("nobody scrubbed");
		await console.kill();
		await console.inDatabase(
			`update upkeeps set state = 'failed', error = '{"code":"host_offline","message":"not heard"}', report = null
			 where id = '${report.upkeepId}'`,
		);
		const byOthers = [{ object: "packs/2", text: "missing", points: [] }];
		await console.inDatabase(`update repositories set damages = '${JSON.stringify(byOthers)}'`);
		const damages = [{ object: "packs/1", text: "altered", points: [] }];
		host.upkeeps.set(report.upkeepId, { ...report, generation: 50, damages, result: "1 object is damaged" });
		await console.restart();
		for (const agent of agents) await agent.connect();
		await until("what it found", async () => (await repository()).damages.length === 2);
		expect((await repository()).damages).toEqual(expect.arrayContaining([...damages, ...byOthers]));
		const told = async () => (await scene.eventKinds(repositoryId)).filter((kind) => kind === "repository.damaged");
		expect(await told()).toHaveLength(1);
		await host.disconnect();
		await host.connect();
		const guest = await scene.newGuest("heard-after", { on: agents.indexOf(host) });
		await until("a later report", async () => (await api.guests.get.query({ guestId: guest })).state === "running");
		expect(await told()).toHaveLength(1);
	});
});

// Its second host does not come back: nothing can follow.
describe("a host that is revoked in the middle of its work", () => {
	test("ends its restore and its upkeep: name, point and key are free again, and the repository is looked after", async () => {
		const { api, fleet } = scene;
		const [stays, goes] = [scene.agent(0), scene.agent(1)];
		await stays.disconnect();
		await until(
			"the other host's sight of the repository",
			async () => (await api.repositories.get.query({ id: repositoryId })).hosts.length === 1,
		);
		fleet.places.restoresWait = true;
		const { id } = await api.restores.start.mutate({ pointId, mode: "copy", target: toNew("phoenix") });
		await until("it to wait", async () => (await api.restores.get.query({ id })).state === "waiting");
		goes.instead.set("repository.upkeep", "swallow");
		const round = api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" });
		await until("the round", async () => (await api.repositories.get.query({ id: repositoryId })).running.length > 0);
		await goes.disconnect();
		await round;
		await stays.connect();
		expect(await codeOf(api.repositories.replaceKey.mutate({ id: repositoryId }))).toBe("conflict");

		await api.hosts.revoke.mutate({ hostId: goes.identity.hostId, reason: "it burnt" });
		expect(await ended(id)).toMatchObject({ state: "failed", errorMessage: expect.stringMatching(/was revoked/) });
		expect(await guestNamed("phoenix")).toBeUndefined();
		await until(
			"the round's end",
			async () => (await api.repositories.get.query({ id: repositoryId })).running.length === 0,
		);
		fleet.places.restoresWait = false;
		const again = await api.restores.start.mutate({ pointId, mode: "copy", target: toNew("phoenix") });
		expect((await ended(again.id)).state).toBe("completed");
		await until("the repository's host", () =>
			codeOf(api.repositories.upkeep.mutate({ id: repositoryId, kind: "scrub" })).then((code) => code === "ok"),
		);
		expect(await codeOf(api.repositories.replaceKey.mutate({ id: repositoryId }))).toBe("ok");
	});
});
