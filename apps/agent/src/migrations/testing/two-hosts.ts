import { randomInt } from "node:crypto";
import { chmodSync } from "node:fs";
import { access, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { GuestSpec } from "@sterna/shared/guest";
import { type HostId, MigrationId, newId } from "@sterna/shared/ids";
import { endedMigrationStates, type MigrationReport } from "@sterna/shared/migration";
import type { CallName, Input, Output, PeerAddress } from "@sterna/shared/protocol/commands";
import type { Permit, SignedPermit } from "@sterna/shared/protocol/permit";
import { expect } from "vitest";
import type { Credentials } from "../../context.ts";
import { TestConsole } from "../../fixtures/test-console.ts";
import { credentialsOf, readIdentity } from "../../identity/identity.ts";
import { PeerClient } from "../../peers/client.ts";
import { Revocations } from "../../peers/revocations.ts";
import { type Cable, layCable } from "./cut.ts";
import type { Beat, GuestKind } from "./guest-kinds.ts";
import { TestHost } from "./test-host.ts";

/** Long for a busy machine; when all is well nobody waits for it. Below the timeout of the suites that use it. */
const settleTimeoutMs = 60_000;

/** Where the guest's volume is: in a folder of each host, in one that both see, or in one that both see unawares. */
export type PoolName = "local" | "shared" | "mistaken";

/** One of the two hosts, and the cable by which the other reaches it. */
export interface Site {
	host: TestHost;
	dataDir: string;
	address: PeerAddress;
	cable: Cable;
}

export interface StartedMove {
	migrationId: MigrationId;
	/** The report as it is now; undefined before the source has one. */
	report(): Promise<MigrationReport | undefined>;
	ended(): Promise<MigrationReport>;
}

/**
 * Two whole agents, each in a process of its own, a console for both, a cable between them, and one guest that is moved
 * back and forth. After whatever is done to them, `expectOneGuest` says whether the promise was kept.
 */
export class TwoHosts {
	readonly spec: GuestSpec;
	readonly #kind: GuestKind;
	readonly #console: TestConsole;
	readonly #folder: string;
	readonly #sites: [Site, Site];
	#epoch = 1;
	#here: 0 | 1 = 0;
	#hops = 0;

	private constructor(options: {
		kind: GuestKind;
		console: TestConsole;
		folder: string;
		sites: [Site, Site];
		pool: PoolName;
	}) {
		this.#kind = options.kind;
		this.#console = options.console;
		this.#folder = options.folder;
		this.#sites = options.sites;
		this.spec = options.kind.spec(options.pool);
	}

	/** Both agents serve and the guest runs on the first host. */
	static async open(kind: GuestKind, { pool = "local" }: { pool?: PoolName } = {}): Promise<TwoHosts> {
		const folder = await mkdtemp(join(tmpdir(), "st-"));
		// Guests run as users of their own and must get to their files.
		chmodSync(folder, 0o711);
		const console = await TestConsole.start();
		// Other tests run at the same time: each has loopback addresses of its own.
		const network = `127.${randomInt(10, 250)}.${randomInt(256)}`;
		const open = (index: number) => openSite({ index, folder, kind, console, network });
		const world = new TwoHosts({ kind, console, folder, pool, sites: [await open(0), await open(1)] });
		try {
			await Promise.all(world.#sites.map(({ host }) => host.start()));
			const { spec } = world;
			await world.call(world.source, "guest.create", { spec, epoch: 1 });
			await world.call(world.source, "guest.start", { guestId: spec.id, epoch: 1 });
			await world.nextBeat();
			return world;
		} catch (error) {
			await world.close();
			throw error;
		}
	}

	async close(): Promise<void> {
		for (const { host, cable, dataDir } of this.#sites) {
			await host.kill();
			await this.#kind.endProcesses(dataDir);
			await cable.close();
		}
		await this.#console.close();
		await rm(this.#folder, { recursive: true, force: true });
	}

	/** Where the guest is. */
	get source(): Site {
		return this.#sites[this.#here];
	}

	/** The other host. */
	get target(): Site {
		return this.#sites[this.#here === 0 ? 1 : 0];
	}

	get epoch(): number {
		return this.#epoch;
	}

	/** Tells this world that the guest is on the other host now. */
	moved(): void {
		this.#here = this.#here === 0 ? 1 : 0;
		this.#hops += 1;
	}

	/** Calls an agent as its console does. */
	async call<Name extends CallName>(site: Site, command: Name, input: Input<Name>): Promise<Output<Name>> {
		const { endpoint } = await this.#console.connection(({ hostId }) => hostId === site.host.hostId);
		return endpoint.call(command, input, { timeoutMs: 60_000 });
	}

	/** What the console signs for the next move of the guest. */
	permit(overrides: Partial<Permit> = {}): Promise<SignedPermit> {
		this.#epoch += 1;
		return this.#console.sign({
			migrationId: newId(MigrationId),
			guestId: this.spec.id,
			epoch: this.#epoch,
			sourceHostId: this.source.host.hostId,
			targetHostId: this.target.host.hostId,
			expiresAt: Date.now() + 60_000,
			...overrides,
		});
	}

	/** Speaks to an agent as a host of the same console that has no part in the move. */
	async stranger(): Promise<{ credentials: Credentials & { hostId: HostId }; peers: PeerClient; close(): void }> {
		const credentials = await this.#console.host();
		const peers = await this.#peersOf(credentials);
		return { credentials, peers, close: () => peers.close() };
	}

	/** Speaks to the other host as the guest's host does. */
	async asSource(): Promise<PeerClient> {
		const identity = await readIdentity(this.source.dataDir);
		if (!identity) throw new Error("the source has no identity");
		return this.#peersOf(credentialsOf(identity));
	}

	async #peersOf(credentials: Credentials): Promise<PeerClient> {
		const revocations = await Revocations.open(this.#folder);
		return new PeerClient({ credentials: () => credentials, revocations });
	}

	/** Guests that have a process on a host. */
	countProcesses({ dataDir }: Site): Promise<number> {
		return this.#kind.countProcesses(dataDir);
	}

	/** Kills what runs guests on a host, behind its agent's back. */
	killProcesses({ dataDir }: Site): Promise<void> {
		return this.#kind.endProcesses(dataDir);
	}

	/** Begins to move the guest to the other host. */
	async startMove(): Promise<StartedMove> {
		const { source, target } = this;
		const migrationId = newId(MigrationId);
		const permit = await this.permit({ migrationId });
		await this.call(source, "migration.start", { permit, target: target.address, options: {} });
		const report = async () =>
			(await this.call(source, "host.snapshot", {})).migrations.find((one) => one.migrationId === migrationId);
		return {
			migrationId,
			report,
			ended: () =>
				until("the migration to end", async () => {
					const latest = await report();
					return latest && endedMigrationStates.includes(latest.state) ? latest : null;
				}),
		};
	}

	/**
	 * The guest runs once, where this world believes it to be; both agents agree; it has never booted again and has found
	 * nothing wrong with its memory and disk; no host has more of it than it should.
	 */
	async expectOneGuest(): Promise<void> {
		const { source, target, spec } = this;
		const guest = await until("both agents to agree", async () => {
			const [mine, theirs] = await Promise.all([source, target].map((site) => this.call(site, "host.snapshot", {})));
			const found = mine?.guests.find(({ guestId }) => guestId === spec.id);
			const processes = await Promise.all([source, target].map(({ dataDir }) => this.#kind.countProcesses(dataDir)));
			const isSettled = found?.role === "owner" && found.state === "running" && theirs?.guests.length === 0;
			return isSettled && processes.join() === "1,0" ? found : null;
		});
		expect(guest).toMatchObject({ remark: null, role: "owner" });
		expect(await this.#recordRole(source)).toBe("owner");
		expect(await this.#recordRole(target)).not.toBe("owner");
		await this.nextBeat();
		const logs = await Promise.all(this.#sites.map((site) => this.#beats(site)));
		const all = logs.flat();
		expect(new Set(all.map(({ boot }) => boot)).size).toBe(1);
		expect(all.filter(({ errors }) => errors > 0)).toEqual([]);
		// The last line before a pause may be repeated after it; more than that was said by a second guest.
		const [first, second] = logs.map((beats) => new Set(beats.map(({ seq }) => seq)));
		const saidTwice = [...(first ?? [])].filter((seq) => second?.has(seq));
		if (this.#kind.beatsAreSaidOnce) expect(saidTwice.length).toBeLessThanOrEqual(this.#hops);
	}

	/** Whether the guest's volume is in a host's own pool. */
	hasLocalVolume({ dataDir }: Site): Promise<boolean> {
		const path = join(dataDir, "pools", "local", `${this.spec.volumes[0]?.id}.qcow2`);
		return access(path).then(
			() => true,
			() => false,
		);
	}

	/** Waits for a sign of life that is later than any before, on the host where the guest should be. */
	async nextBeat(): Promise<void> {
		const before = (await Promise.all(this.#sites.map((site) => this.#beats(site)))).flat();
		const latest = Math.max(0, ...before.map(({ seq }) => seq));
		await until("a new sign of life", async () => (await this.#beats(this.source)).some(({ seq }) => seq > latest));
	}

	/** The different boots that a host's serial log tells of. */
	async boots(site: Site): Promise<string[]> {
		return [...new Set((await this.#beats(site)).map(({ boot }) => boot))];
	}

	/** The ends of both agents' logs. */
	async logs(): Promise<string> {
		const logs = await Promise.all(this.#sites.map(async ({ host }) => `${host.name}\n${await host.log(30)}`));
		return logs.join("\n");
	}

	async #beats({ dataDir }: Site): Promise<Beat[]> {
		const log = await readFile(join(dataDir, "run", this.spec.id, "serial.log"), "utf8").catch(() => "");
		return this.#kind.beats(log);
	}

	/** As the disk says it, not the agent. */
	async #recordRole({ dataDir }: Site): Promise<unknown> {
		const path = join(dataDir, "guests", this.spec.id, "record.json");
		const text = await readFile(path, "utf8").catch(() => '{"role":"absent"}');
		return JSON.parse(text).role;
	}
}

async function openSite(options: {
	index: number;
	folder: string;
	kind: GuestKind;
	console: TestConsole;
	network: string;
}): Promise<Site> {
	const { index, folder, kind, console, network } = options;
	const name = index === 0 ? "alder" : "birch";
	const dataDir = join(folder, name);
	await mkdir(dataDir, { mode: 0o711 });
	const [own, seen] = [`${network}.${10 + index}`, `${network}.${20 + index}`];
	const peerPort = 23_100;
	const streamPorts = { from: peerPort + 1, to: peerPort + 4 };
	const ports = Array.from({ length: 5 }, (_, offset) => peerPort + offset);
	const cable = await layCable({ from: seen, to: own, ports });
	const host = await TestHost.create({
		dataDir,
		name,
		console,
		config: {
			...(await kind.equip(dataDir)),
			name,
			peerAddress: seen,
			listenAddress: own,
			peerPort,
			streamPorts,
			pools: [
				{ name: "local", kind: "local", path: join(dataDir, "pools", "local") },
				{ name: "shared", kind: "shared", path: join(folder, "shared") },
				{ name: "mistaken", kind: "local", path: join(folder, "mistaken") },
			],
		},
	});
	return { host, dataDir, cable, address: { hostId: host.hostId, name, address: seen, port: peerPort } };
}

/** Asks again until the answer is there. */
export async function until<Answer>(what: string, ask: () => Promise<Answer | null | undefined>): Promise<Answer> {
	const deadline = Date.now() + settleTimeoutMs;
	for (;;) {
		const answer = await ask().catch(() => null);
		if (answer) return answer;
		if (Date.now() > deadline) throw new Error(`waited ${settleTimeoutMs} ms for ${what}`);
		await delay(25);
	}
}
