import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, HostId, newId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { eq } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { AgentHub } from "../agents/hub.ts";
import { Authority } from "../authority/authority.ts";
import { Changes } from "../changes.ts";
import type { Core } from "../core.ts";
import { type OpenDatabase, openDatabase } from "../db/database.ts";
import { type EmbeddedPostgres, startPostgres } from "../db/postgres.ts";
import * as tables from "../db/schema.ts";
import { EventLog } from "../events/log.ts";
import { type HostEntry, Inventory, newGuestEntry, newHostEntry } from "../inventory/inventory.ts";
import { MoveDriver } from "./driver.ts";
import { Moves } from "./moves.ts";

const log = pino({ level: "silent" });
const clock = { now: 1_800_000_000_000 };
const now = () => clock.now;
let dir: string;
let postgres: EmbeddedPostgres;
let open: OpenDatabase;
let authority: Authority;

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), "sterna-m-"));
	postgres = await startPostgres(join(dir, "postgres"));
	open = await openDatabase(postgres.url, join(import.meta.dirname, "../../drizzle"), log);
	authority = await Authority.open(join(dir, "authority"), now);
});
afterAll(async () => {
	await open.close();
	await postgres.stop();
	rmSync(dir, { recursive: true, force: true });
});

/** Stands in for the connection to the source's agent: each `migration.start` waits for its answer. */
class OneAgent extends AgentHub {
	connected = true;
	readonly asked: { answer: (error: SternaError) => void }[] = [];
	override isConnected = () => this.connected;
	override call = (): Promise<never> => new Promise((_, reject) => this.asked.push({ answer: reject }));
}

let agent: OneAgent;
let driver: MoveDriver;
let core: Core;
let source: HostEntry;
let target: HostEntry;
let guestId: GuestId;

beforeEach(async () => {
	const changes = new Changes();
	core = { db: open.db, inventory: new Inventory(), changes, events: new EventLog(open.db, changes, now), log, now };
	[source, target] = [await newHost(), await newHost()];
	guestId = newId(GuestId);
	const spec = { id: guestId, name: `g-${guestId}`, vcpus: 1, memoryBytes: GiB, boot: disk, volumes: [], nics: [] };
	const [row] = await open.db
		.insert(tables.guests)
		.values({
			...{ id: guestId, name: spec.name, spec, ownerHostId: source.id, epoch: 1, highestEpoch: 1 },
			...{ existence: "present", grantedBytes: GiB, createdAt: now(), createdBy: "ann" },
		})
		.returning();
	if (row) core.inventory.guests.set(guestId, newGuestEntry(row));
	core.inventory.guest(guestId).reports.set(source.id, {
		...{ guestId, name: spec.name, generation: 1, role: "owner", epoch: 1, state: "running", accelerator: "kvm" },
		...{ startedAt: now(), migrationId: null, peerHostId: null, machine: null, remark: null },
	});
	agent = new OneAgent({ listener: deafListener, log });
	driver = new MoveDriver({ core, hub: agent, moves: new Moves(core, authority, () => {}) });
});

const disk = { from: "disk" as const };
const unused = async () => {};
const deafListener = {
	...{ claimConnection: async () => true, quarantine: unused, misbehaved: () => {}, connected: () => {} },
	...{ disconnected: () => {}, resumeAfter: () => undefined, report: unused },
};

async function newHost(): Promise<HostEntry> {
	const id = newId(HostId);
	const facts = { ...factsOf(id), hostId: id };
	const [row] = await open.db.insert(tables.hosts).values({ id, name: id, joinedAt: now(), facts }).returning();
	if (!row) throw new Error("no row");
	const host = newHostEntry(row, null, now());
	Object.assign(host, { connected: true, silentSince: null, lastReport: { run: "r", id: 1 } });
	core.inventory.hosts.set(id, host);
	return host;
}

function factsOf(name: string) {
	return {
		...{ name, agentVersion: "0.1.0", bootId: "boot", peerAddress: "127.0.0.1", peerPort: 7676 },
		...{ operatingSystem: "Debian", kernel: "6.1", cpuModel: "c", cpuThreads: 8, memoryBytes: 64 * GiB },
		...{ qemuVersion: "10.0.2", machineTypes: [], pools: [], networks: [], images: [], simulated: true },
		repositoryFolders: [],
		probe: { accelerator: "simulated" as const, reason: "scripted" },
	};
}

const beginMove = () =>
	driver.begin({
		...{ guestId, targetHostId: target.id, options: { maxDowntimeMs: 1000, autoConverge: true } },
		...{ requestedBy: "ann", evacuationId: null, why: null },
	});
const asked = (times: number) => expect.poll(() => agent.asked.length).toBe(times);
const permit = () => core.inventory.guest(guestId).grant.permit;
const late = new SternaError("forbidden", "the permit for this migration is over");

test("while the first asking is not answered nobody asks a second time, so its refusal takes the permit back", async () => {
	const begun = beginMove();
	await asked(1);
	await driver.tick();
	expect(agent.asked).toHaveLength(1);
	agent.asked[0]?.answer(new SternaError("wrong_state", "it is starting"));
	await expect(begun).rejects.toMatchObject({ code: "wrong_state" });
	expect(permit()).toBeNull();
});

test("a source that went silent in the middle of its answer may be moving: its old report does not void the permit", async () => {
	const begun = beginMove();
	await asked(1);
	agent.asked[0]?.answer(new SternaError("unavailable", "the connection was lost"));
	await begun;
	agent.connected = false;
	clock.now += 10 * 60_000;
	await driver.tick();
	expect(permit()).not.toBeNull();
	expect(core.inventory.moveUnderWay(guestId)?.endedAt).toBeNull();
});

test("a move that never began ends when its source, back again, refuses the late permit", async () => {
	const begun = beginMove();
	await asked(1);
	agent.asked[0]?.answer(new SternaError("unavailable", "the connection was lost"));
	const move = await begun;
	clock.now += 10 * 60_000;
	const turn = driver.tick();
	await asked(2);
	expect(permit()).not.toBeNull();
	agent.asked[1]?.answer(late);
	await turn;
	expect(permit()).toBeNull();
	expect(move).toMatchObject({ state: "failed", error: { code: "forbidden" } });
});

test("an agent that does not answer holds up its own move only", async () => {
	const begun = beginMove();
	await asked(1);
	agent.asked[0]?.answer(new SternaError("timeout", "no answer"));
	await begun;
	const hung = driver.tick();
	await asked(2);
	await driver.tick();
	agent.asked[1]?.answer(late);
	await hung;
});

test("a guest whose deletion is not finished is not granted to another host", async () => {
	await open.db.update(tables.guests).set({ existence: "deleting" }).where(eq(tables.guests.id, guestId));
	await expect(beginMove()).rejects.toMatchObject({ code: "wrong_state" });
	expect(permit()).toBeNull();
});
