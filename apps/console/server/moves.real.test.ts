import { SternaError } from "@sterna/shared/errors";
import type { Finding } from "@sterna/shared/health";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Api, Browser, ConsoleProcess, codeOf, until } from "./testing/console-process.ts";
import { Fleet, ScriptedAgent } from "./testing/scripted-agent.ts";

let console: ConsoleProcess;
let browser: Browser;
let api: Api;
const fleet = new Fleet();
const agents: ScriptedAgent[] = [];

beforeAll(async () => {
	console = await ConsoleProcess.start();
	browser = await Browser.asFirstAdmin(console);
	api = browser.api;
	for (const name of ["rack1-01", "rack1-02", "rack1-03"]) {
		const { joinLine } = await api.hosts.createJoinToken.mutate({});
		agents.push(await ScriptedAgent.join(joinLine, name, fleet));
	}
	await until("three hosts online", async () => (await api.hosts.list.query({ connection: ["online"] })).total === 3);
});
afterAll(async () => {
	for (const agent of agents) await agent.disconnect();
	expect(await console.stop()).toBe(0);
});
afterEach(() => fleet.letGo());

function agentOf(hostId: string): ScriptedAgent {
	const agent = agents.find(({ identity }) => identity.hostId === hostId);
	if (!agent) throw new Error(`no agent ${hostId}`);
	return agent;
}

async function newGuest(name: string, on = 0): Promise<GuestId> {
	const { guestId, state } = await api.guests.create.mutate({
		name,
		vcpus: 1,
		memoryBytes: 128 * MiB,
		boot: { from: "disk" },
		volumes: [{ pool: "shared", sizeBytes: 256 * MiB }],
		networks: ["lan"],
		...(agents[on] ? { hostId: agents[on].identity.hostId } : {}),
	});
	expect(state).toBe("running");
	return guestId;
}

const guest = (guestId: string) => api.guests.get.query({ guestId });
const ended = (migrationId: string) =>
	until("the move's end", async () => {
		const move = await api.migrations.get.query({ migrationId });
		return move.endedAt !== null && move;
	});

/** Which agents believe that they run the guest. */
const owners = (guestId: GuestId) =>
	agents.filter((agent) => agent.guests.get(guestId)?.role === "owner").map((agent) => agent.name);

async function reconnectAll(): Promise<void> {
	await Promise.all(agents.map((agent) => agent.reconnect()));
}

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

describe("a move", () => {
	test("takes the guest to the host that was asked for, under the next epoch", async () => {
		const guestId = await newGuest("mover");
		const target = agents[1]?.identity.hostId ?? "";
		const { migrationId } = await api.guests.migrate.mutate({ guestId, targetHostId: target });
		const move = await ended(migrationId);
		expect(move).toMatchObject({ state: "completed", measuredDowntimeMs: 38, requestedBy: "ann" });
		expect(await guest(guestId)).toMatchObject({
			state: "running",
			host: { name: "rack1-02" },
			epoch: 2,
			moving: null,
		});
		expect(owners(guestId)).toEqual(["rack1-02"]);
		const again = await api.guests.migrate.mutate({ guestId });
		expect(await ended(again.migrationId)).toMatchObject({ state: "completed" });
	});

	test("is refused, and changes nothing, when target is source, offline, incompatible or unknown", async () => {
		const guestId = await newGuest("stayer");
		const source = agents[0]?.identity.hostId ?? "";
		const [other, offline] = [agents[1], agents[2]];
		if (!other || !offline) throw new Error("no agents");
		expect(await codeOf(api.guests.migrate.mutate({ guestId, targetHostId: source }))).toBe("conflict");
		expect(await codeOf(api.guests.migrate.mutate({ guestId, targetHostId: crypto.randomUUID() }))).toBe("not_found");
		agentOf(source).refusal = { code: "incompatible", message: "another CPU" };
		expect(await codeOf(api.guests.migrate.mutate({ guestId, targetHostId: other.identity.hostId }))).toBe(
			"incompatible",
		);
		agentOf(source).refusal = null;
		await offline.disconnect();
		const refused = () => codeOf(api.guests.migrate.mutate({ guestId, targetHostId: offline.identity.hostId }));
		await until("the host to be seen offline", async () => (await refused()) === "host_offline");
		await offline.reconnect();
		expect(await guest(guestId)).toMatchObject({ epoch: 1, moving: null, host: { id: source } });
		expect(owners(guestId)).toEqual(["rack1-01"]);
	});

	test("is measured by its source until the hand-over, whatever the process at the target takes", async () => {
		fleet.holdAt = "copyMemory";
		const guestId = await newGuest("measured");
		const { migrationId } = await api.guests.migrate.mutate({ guestId, targetHostId: agents[1]?.identity.hostId });
		await until("the copy", async () => fleet.waiting === 1);
		agents[0]?.measure(guestId, 0.5);
		agents[1]?.measure(guestId, 0.01);
		await until("the source's sample", async () => (await guest(guestId)).cpuUsed === 0.5);
		await until("the target's load", async () => {
			return (await api.hosts.get.query({ hostId: agents[1]?.identity.hostId ?? "" })).cpuUsed === 0.01;
		});
		expect((await guest(guestId)).cpuUsed).toBe(0.5);
		fleet.letGo();
		await ended(migrationId);
	});

	test("can be called back while it copies, and the guest can move again", async () => {
		fleet.holdAt = "copyMemory";
		const guestId = await newGuest("called-back");
		const { migrationId } = await api.guests.migrate.mutate({ guestId });
		await until("the copy", async () => fleet.waiting === 1);
		await api.migrations.cancel.mutate({ migrationId });
		expect(await ended(migrationId)).toMatchObject({ state: "cancelled" });
		fleet.letGo();
		expect(owners(guestId)).toEqual(["rack1-01"]);
		const again = await api.guests.migrate.mutate({ guestId });
		await ended(again.migrationId);
		// The cancelled move has used epoch 2 up.
		expect(await guest(guestId)).toMatchObject({ epoch: 3 });
	});

	test("goes on when the console is killed in its middle; the new console finds where the guest is", async () => {
		fleet.holdAt = "copyMemory";
		const guestId = await newGuest("survivor");
		const { migrationId } = await api.guests.migrate.mutate({ guestId });
		await until("the copy", async () => fleet.waiting === 1);
		await console.kill();
		fleet.letGo();
		await until("the hand-over without a console", async () => owners(guestId)[0] !== "rack1-01");
		await console.restart();
		await reconnectAll();
		expect(await ended(migrationId)).toMatchObject({ state: "completed" });
		const view = await guest(guestId);
		expect(view).toMatchObject({ epoch: 2, state: "running", moving: null });
		expect(owners(guestId)).toEqual([view.host.name]);
	});

	test("whose start was swallowed is begun under the same permit by the next console", async () => {
		const guestId = await newGuest("unsent");
		const source = agents[0];
		if (!source) throw new Error("no agent");
		source.deaf = true;
		source.commands.length = 0;
		const asked = api.guests.migrate.mutate({ guestId, targetHostId: agents[1]?.identity.hostId }).catch(() => "lost");
		await until("the start", async () => source.commands.includes("migration.start"));
		await console.kill();
		expect(await asked).toBe("lost");
		source.deaf = false;
		await console.restart();
		await reconnectAll();
		const { rows } = await api.migrations.list.query({ guestId });
		expect(rows).toHaveLength(1);
		expect(await ended(rows[0]?.id ?? "")).toMatchObject({ state: "completed" });
		expect(owners(guestId)).toEqual(["rack1-02"]);
		expect(await guest(guestId)).toMatchObject({ epoch: 2, moving: null, host: { name: "rack1-02" } });
	});
});

describe("a disk that is added", () => {
	test("is one disk, also when the answer was lost and it is asked for again; its id is no other disk's", async () => {
		const id = await newGuest("with-disks");
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		agents[0]?.instead.set("volume.attach", new SternaError("unavailable", "the answer was lost"));
		expect(await codeOf(api.guests.attachVolume.mutate(disk))).toBe("unavailable");
		agents[0]?.instead.delete("volume.attach");
		for (let times = 0; times < 2; times++)
			expect(await api.guests.attachVolume.mutate(disk)).toEqual({ id, volumeId: disk.volumeId });
		const { spec } = await api.guests.get.query({ guestId: id });
		expect(spec.volumes.map((volume) => volume.id).filter((one) => one === disk.volumeId)).toHaveLength(1);
		expect(spec.volumes).toHaveLength(2);
		expect(await codeOf(api.guests.attachVolume.mutate({ ...disk, sizeBytes: 128 * MiB }))).toBe("conflict");
		const other = await newGuest("without");
		expect(await codeOf(api.guests.attachVolume.mutate({ ...disk, id: other }))).toBe("conflict");
	});

	test.each([
		{ what: "is there", isThere: true },
		{ what: "is not there", isThere: false },
	])("whose answer was lost is listed as its host has it once that is heard: it $what", async ({ isThere }) => {
		const id = await newGuest(`with-unheard-${isThere}`);
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		const [agent] = agents;
		const report = agent?.guests.get(id);
		const { volumes } = (await guest(id)).spec;
		if (!agent || !report) throw new Error("the guest is not there");
		agent.instead.set("volume.attach", new SternaError("unavailable", "the answer was lost"));
		expect(await codeOf(api.guests.attachVolume.mutate(disk))).toBe("unavailable");
		agent.instead.delete("volume.attach");
		const held = isThere ? [...volumes, { id: disk.volumeId, pool: "shared", sizeBytes: 128 * MiB }] : volumes;
		fleet.places.specs.set(id, { ...(await guest(id)).spec, volumes: held });
		agent.setGuest({ ...report, volumes: held });
		await until("it to be settled", async () => {
			const [event] = (await api.events.list.query({ objectId: id })).rows;
			return event?.kind === "guest.volumesSettled" && event.actor === "rack1-01";
		});
		expect((await guest(id)).spec.volumes).toEqual(held);
	});

	test("is shown no more when the host, asked again after a lost answer, refuses it and does not have it", async () => {
		const id = await newGuest("with-refused-disk");
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		for (const code of ["unavailable", "no_capacity"] as const) {
			agents[0]?.instead.set("volume.attach", new SternaError(code, "not made"));
			expect(await codeOf(api.guests.attachVolume.mutate(disk))).toBe(code);
		}
		agents[0]?.instead.delete("volume.attach");
		const { spec } = await api.guests.get.query({ guestId: id });
		expect(spec.volumes.map((volume) => volume.id)).not.toContain(disk.volumeId);
	});
});

describe("two people at once", () => {
	test("start, power off and delete: one of each pair wins, the other is told, nothing is half done", async () => {
		const guestId = await newGuest("shared-by-two");
		const off = await Promise.all([
			codeOf(api.guests.powerOff.mutate({ guestId })),
			codeOf(api.guests.powerOff.mutate({ guestId })),
		]);
		expect(off.filter((code) => code === "ok")).toHaveLength(1);
		expect(off.filter((code) => code !== "ok")[0]).toMatch(/^(conflict|wrong_state)$/);
		const both = await Promise.all([
			codeOf(api.guests.delete.mutate({ guestId })),
			codeOf(api.guests.start.mutate({ guestId })),
		]);
		expect(both.filter((code) => code === "ok")).toHaveLength(1);
		const view = await codeOf(guest(guestId));
		expect(view).toBe(both[0] === "ok" ? "not_found" : "ok");
	});

	test("the same name: one guest is made", async () => {
		const wish = {
			name: "twin",
			vcpus: 1,
			memoryBytes: 64 * MiB,
			boot: { from: "disk" as const },
			networks: [],
			start: false,
		};
		const volumes = [{ pool: "shared", sizeBytes: MiB }];
		const codes = await Promise.all([1, 2, 3].map(() => codeOf(api.guests.create.mutate({ ...wish, volumes }))));
		expect(codes.sort()).toEqual(["conflict", "conflict", "ok"]);
	});
});

test("the serial console follows a guest to another host without losing or repeating a byte, and ends with the session", async () => {
	const guestId = await newGuest("talker");
	const source = agentOf((await guest(guestId)).host.id);
	source.print(guestId, "1 2 3 ");
	const { ticket, path } = await api.guests.openSerial.mutate({ guestId });
	const socket = new WebSocket(`ws://localhost:${console.webPort}${path}`, {
		headers: { cookie: browser.cookie, origin: console.url },
	});
	let seen = "";
	socket.on("message", (data) => (seen += data.toString()));
	const closed = new Promise<number>((resolve) => socket.once("close", resolve));
	await new Promise((resolve) => socket.once("open", resolve));
	socket.send(ticket);
	await until("what was printed before", async () => seen === "1 2 3 ");
	socket.send("x");
	await until("what was typed", async () => seen === "1 2 3 <x>");
	const target = agents.find((agent) => agent !== source);
	target?.print(guestId, "5 6 ");
	source.print(guestId, "4 ");
	const { migrationId } = await api.guests.migrate.mutate({ guestId, targetHostId: target?.identity.hostId });
	await ended(migrationId);
	await until("the target's words", async () => seen.endsWith("6 "));
	expect(seen).toBe("1 2 3 <x>4 5 6 ");
	const other = new Browser(console);
	await other.api.session.signIn.mutate({ account: "ann", password: "correct horse battery" });
	await browser.api.session.signOut.mutate();
	expect(await closed).toBe(4401);
	browser = other;
	api = other.api;
});

describe("a failing host", () => {
	test("is emptied at once, stays out of service with its evidence, and a console killed in between goes on", async () => {
		for (const index of [0, 1, 2, 3]) await newGuest(`leaver-${index}`, 2);
		const ill = agents[2];
		if (!ill) throw new Error("no agent");
		fleet.holdAt = "copyMemory";
		const brokenAt = Date.now();
		ill.setFindings([badMemory()]);
		await until("the first moves", async () => fleet.waiting > 0, 5000);
		expect(Date.now() - brokenAt).toBeLessThan(5000);
		const { rows } = await api.evacuations.list.query({ state: ["running"] });
		expect(rows).toHaveLength(1);
		expect(rows[0]?.remainingMs).toBeGreaterThan(0);
		await console.kill();
		fleet.letGo();
		await console.restart();
		await reconnectAll();
		const evacuationId = rows[0]?.id ?? "";
		const evacuation = await until("the evacuation's end", async () => {
			const view = await api.evacuations.get.query({ evacuationId });
			return view.endedAt !== null && view;
		});
		expect(evacuation).toMatchObject({ state: "completed", requestedBy: "health policy" });
		expect(evacuation.items.filter(({ state }) => state !== "skipped").every(({ state }) => state === "moved")).toBe(
			true,
		);
		const host = await api.hosts.get.query({ hostId: ill.identity.hostId });
		expect(host).toMatchObject({ health: "failing", mode: "maintenance", guestsRunning: 0 });
		expect(host.findings[0]).toMatchObject({
			component: "DIMM_B1",
			value: 2,
			action: "evacuated",
		});
		for (const { id } of (await api.guests.list.query({ filter: "leaver" })).rows) {
			const view = await guest(id);
			expect(view).toMatchObject({ state: "running", epoch: 2 });
			expect(owners(id)).toEqual([view.host.name]);
		}
		const overview = await api.overview.get.query();
		expect(overview.headline).toMatchObject({
			tone: "failing",
			sentence: expect.stringContaining("left it without a restart"),
		});
		expect(overview.decisions.map(({ title }) => title)).toContain("Replace DIMM_B1 in rack1-03");
	});

	test("returns to service only after its finding is released; the same reading does not open it again, a worse one does", async () => {
		const ill = agents[2];
		const hostId = ill?.identity.hostId ?? "";
		ill?.setFindings([{ ...badMemory(1), severity: "watch" }]);
		ill?.setFindings([]);
		ill?.measure(GuestId.parse(crypto.randomUUID()), 0.25);
		await until("the milder reports", async () => (await api.hosts.get.query({ hostId })).cpuUsed === 0.25);
		expect((await api.hosts.get.query({ hostId })).health).toBe("failing");
		expect(await codeOf(api.hosts.leaveMaintenance.mutate({ hostId }))).toBe("wrong_state");
		const [finding] = (await api.hosts.get.query({ hostId })).findings;
		if (!ill || !finding) throw new Error("no finding");
		await api.hosts.releaseFinding.mutate({ hostId, findingId: finding.id, reason: "DIMM replaced" });
		expect(await api.hosts.leaveMaintenance.mutate({ hostId })).toEqual({ mode: "normal" });
		const { firstSeenAt } = finding;
		ill.setFindings([{ ...badMemory(), firstSeenAt }]);
		const changed = { ...badMemory(), key: "disk/sda/temperature", severity: "watch" as const };
		ill.setFindings([{ ...badMemory(), firstSeenAt }, changed]);
		await until("the other finding", async () => (await api.hosts.get.query({ hostId })).findings.length === 1);
		expect((await api.hosts.get.query({ hostId })).health).toBe("watch");
		ill.setFindings([{ ...badMemory(3), firstSeenAt }]);
		await until("the worse one", async () => (await api.hosts.get.query({ hostId })).health === "failing");
	});
});

test("a failing host that dies while it is emptied does not keep the next failing host from being emptied", async () => {
	for (const name of ["rack2-01", "rack2-02"]) {
		const { joinLine } = await api.hosts.createJoinToken.mutate({});
		agents.push(await ScriptedAgent.join(joinLine, name, fleet));
	}
	const [dying, ill] = agents.slice(-2);
	if (!dying || !ill) throw new Error("no agents");
	await newGuest("left-behind", agents.indexOf(dying));
	await newGuest("must-leave", agents.indexOf(ill));
	const running = async () =>
		(await api.evacuations.list.query({ state: ["running"] })).rows.map(({ host }) => host.name);
	fleet.holdAt = "copyMemory";
	dying.setFindings([{ ...badMemory(), signal: "dying" }]);
	await until("the first evacuation", async () => fleet.waiting === 1);
	await dying.disconnect();
	ill.setFindings([{ ...badMemory(), signal: "ill" }]);
	await until("the second evacuation", async () => (await running()).includes("rack2-02"));
	await api.hosts.revoke.mutate({ hostId: dying.identity.hostId, reason: "it is scrap" });
	await until("the end of the first", async () => !(await running()).includes("rack2-01"));
	fleet.letGo();
	await until("the end of the second", async () => (await running()).length === 0);
	expect((await guest((await api.guests.list.query({ filter: "must-leave" })).rows[0]?.id ?? "")).host.name).not.toBe(
		"rack2-02",
	);
});

test("a guest is forgotten only some time after its host was revoked, and only by its name", async () => {
	const { joinLine } = await api.hosts.createJoinToken.mutate({});
	const gone = await ScriptedAgent.join(joinLine, "rack3-01", fleet);
	agents.push(gone);
	const guestId = await newGuest("gone", agents.indexOf(gone));
	const forget = (name: string) => codeOf(api.guests.forget.mutate({ guestId, name }));
	await gone.disconnect();
	expect(await forget("gone")).toBe("wrong_state");
	await api.hosts.revoke.mutate({ hostId: gone.identity.hostId, reason: "it burnt" });
	expect(await forget("gone")).toBe("wrong_state");
	expect(await guest(guestId)).toMatchObject({
		hostRevoked: true,
		forgetRefusal: { message: expect.stringMatching(/not forgotten yet/) },
	});
	const many = await api.guests.forgetMany.mutate({ guestIds: [guestId] });
	expect(many.results).toMatchObject([{ name: "gone", ok: false, cure: expect.stringMatching(/try again in/) }]);
	await console.kill();
	await console.inDatabase("update hosts set revoked_at = now() - interval '6 minutes' where name = 'rack3-01'");
	await console.restart();
	expect((await guest(guestId)).forgetRefusal).toBeNull();
	expect(await forget("gnoe")).toBe("invalid");
	expect(await forget("gone")).toBe("ok");
	expect(await codeOf(guest(guestId))).toBe("not_found");
	const [event] = (await api.events.list.query({ objectId: guestId })).rows;
	expect(event).toMatchObject({ kind: "guest.forgotten", evidence: { epoch: 1 } });
});

test("every step is in the event log, and its chain of hashes holds", async () => {
	const { events, brokenAt } = await api.events.verify.query();
	expect(brokenAt).toBeNull();
	expect(events).toBeGreaterThan(30);
	const { kinds } = await api.events.facets.query();
	for (const kind of [
		"host.joined",
		"guest.created",
		"migration.completed",
		"migration.cancelled",
		"evacuation.started",
	]) {
		expect(kinds).toContain(kind);
	}
});
