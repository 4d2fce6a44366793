import { join } from "node:path";
import type { BackupJobSpec } from "@sterna/backup/job";
import { asSternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import { GiB, MiB } from "@sterna/shared/units";
import pg from "pg";
import { type Api, Browser, ConsoleProcess, heard, until } from "./console-process.ts";
import { Fleet, ScriptedAgent } from "./scripted-agent.ts";

const folder = (name: string) => ({ name, capacityBytes: 100 * GiB, freeBytes: 90 * GiB });

/** A restore's target that is a guest of its own, without networks. */
export const toNew = (name: string) => ({ kind: "new" as const, name, connectNetworks: false });

/** The next time at which all clocks of the zone UTC show this hour. */
export function nextAt(hour: number): number {
	const [hourMs, dayMs] = [3_600_000, 24 * 3_600_000];
	return Math.floor((Date.now() - hour * hourMs) / dayMs + 1) * dayMs + hour * hourMs;
}

/** A console with two hosts that offer the folder `backups`, the first also `alone`; the demo's way to set the clock is open. */
export class BackupScene {
	readonly console: ConsoleProcess;
	readonly browser: Browser;
	readonly fleet: Fleet;
	readonly agents: ScriptedAgent[];

	private constructor(parts: { console: ConsoleProcess; browser: Browser; fleet: Fleet; agents: ScriptedAgent[] }) {
		this.console = parts.console;
		this.browser = parts.browser;
		this.fleet = parts.fleet;
		this.agents = parts.agents;
	}

	static async start(): Promise<BackupScene> {
		const console = await ConsoleProcess.start({ STERNA_DEMO_SOCKET: "/nonexistent/demo.sock" });
		const browser = await Browser.asFirstAdmin(console);
		const fleet = new Fleet();
		const agents: ScriptedAgent[] = [];
		for (const name of ["rack1-01", "rack1-02"]) {
			const { joinLine } = await browser.api.hosts.createJoinToken.mutate({});
			const folders = name === "rack1-01" ? [folder("backups"), folder("alone")] : [folder("backups")];
			agents.push(await ScriptedAgent.join(joinLine, name, fleet, folders));
		}
		const scene = new BackupScene({ console, browser, fleet, agents });
		for (const { identity } of agents) await heard(scene.api, identity.hostId);
		return scene;
	}

	get api(): Api {
		return this.browser.api;
	}

	agent(index: number): ScriptedAgent {
		const agent = this.agents[index];
		if (!agent) throw new Error(`no agent ${index}`);
		return agent;
	}

	async stop(): Promise<number | null> {
		this.fleet.places.letGo();
		for (const agent of this.agents) await agent.disconnect();
		return this.console.stop();
	}

	/** A repository in a folder, its key confirmed, reached by every host that offers the folder. */
	async newRepository(name: string, place = "backups"): Promise<{ id: string; recoveryKey: string }> {
		const created = await this.api.repositories.create.mutate({ name, place: { kind: "directory", name: place } });
		await this.api.repositories.confirmKey.mutate({ id: created.id, key: created.recoveryKey });
		const hosts = this.agents.filter(({ folders }) => folders.some((one) => one.name === place)).length;
		await until(
			"the repository's hosts",
			async () => (await this.api.repositories.get.query({ id: created.id })).hosts.length === hosts,
		);
		return created;
	}

	/** A running guest with one disk. */
	async newGuest(name: string, options: { on?: number; tags?: string[]; start?: boolean } = {}): Promise<GuestId> {
		const { on = 0, tags = [], start = true } = options;
		const { guestId } = await this.api.guests.create.mutate({
			...{ name, vcpus: 1, memoryBytes: 128 * MiB, boot: { from: "disk" }, networks: ["lan"], start },
			...{ volumes: [{ pool: "local", sizeBytes: 256 * MiB }], hostId: this.agent(on).identity.hostId },
		});
		if (tags.length > 0) await this.api.guests.setTags.mutate({ id: guestId, tags });
		return guestId;
	}

	job(repositoryId: string, change: Partial<BackupJobSpec> & { name: string }): BackupJobSpec {
		return {
			...{ enabled: true, selection: { by: "tags", tags: [change.name] }, cron: "0 2 * * *", timeZone: "UTC" },
			...{ startWithinMinutes: 60, retries: 2, retryAfterMinutes: 1, atOncePerHost: 2, atOncePerRepository: 4 },
			...{ bytesPerSecond: null, freeze: true, alertAfterMinutes: 26 * 60, drill: null },
			retention: { last: 100, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
			...change,
			repositoryId: repositoryId as BackupJobSpec["repositoryId"],
		};
	}

	/** Backs a guest up and waits for its point. @throws with the run's state and error when none comes. */
	async backUp(guestId: GuestId, repositoryId: string): Promise<string> {
		const { pointId } = await this.api.runs.start.mutate({ guestId, repositoryId });
		let standing = "";
		const isThere = async () => {
			const { state, endedAt, waitsFor, errorMessage } = await this.api.runs.get.query({ pointId });
			standing = `the run is ${state}, waits for: ${waitsFor}, error: ${errorMessage}`;
			if (endedAt !== null && state !== "completed") throw new Error(`no point: ${standing}`);
			return state === "completed";
		};
		await until("the point", isThere).catch((cause) => {
			throw new Error(`${asSternaError(cause).message}; ${standing}`, { cause });
		});
		return pointId;
	}

	/**
	 * Meanwhile the database is late with what it is told of runs and restores under way, each time later than the time before:
	 * what was written last is there first. Words about their end are in time.
	 */
	async withLateReports(work: () => Promise<void>): Promise<void> {
		const folder = encodeURIComponent(join(this.console.dir, "postgres"));
		const client = new pg.Client({ connectionString: `postgresql://sterna@localhost/postgres?host=${folder}` });
		await client.connect();
		try {
			await client.query(`
				create sequence lateness;
				create function be_late() returns trigger language plpgsql as $$ begin
					if current_query() like '%"report" =%' and current_query() not like '%"ended_at" =%' then
						perform pg_sleep(0.15 * nextval('lateness'));
					end if;
					return null;
				end $$;
				create trigger late before update on backup_runs for each statement execute function be_late();
				create trigger late before update on restores for each statement execute function be_late();`);
			await work();
			await client.query("drop function be_late cascade; drop sequence lateness");
		} finally {
			await client.end();
		}
	}

	/** The restore as it is when it has ended, however that was. */
	restoreEnded(id: string) {
		return until("the restore's end", async () => {
			const restore = await this.api.restores.get.query({ id });
			return restore.endedAt !== null && restore;
		});
	}

	/** Undefined: no guest has the name. */
	async guestNamed(name: string) {
		return (await this.api.guests.list.query({ filter: name })).rows.find((guest) => guest.name === name);
	}

	/** Sets the schedules' clock to `at`. */
	async setClock(at: number): Promise<void> {
		await this.api.demo.setClockOffset.mutate({ ms: at - Date.now() });
	}

	/** Waits until the log tells it of the object: an event is written after what it tells of can be seen. */
	async told(kind: string, objectId: string): Promise<void> {
		await until(`the event ${kind}`, async () => (await this.eventKinds(objectId)).includes(kind));
	}

	async eventKinds(objectId: string): Promise<string[]> {
		return (await this.api.events.list.query({ objectId, limit: 200 })).rows.map(({ kind }) => kind);
	}
}
