import { isDeepStrictEqual } from "node:util";
import { type BackupReport, endedTaskStates, type RestoreReport, type UpkeepReport } from "@sterna/shared/backup";
import type { GuestMetrics, GuestReport } from "@sterna/shared/guest";
import type { Finding } from "@sterna/shared/health";
import type { HostFacts, HostMetrics } from "@sterna/shared/host";
import type { GuestId } from "@sterna/shared/ids";
import { endedMigrationStates, type MigrationReport } from "@sterna/shared/migration";
import type { ReportEvent, Snapshot, TrackedReport } from "@sterna/shared/protocol/report";
import type { z } from "zod";
import type { GuestView } from "./guests/lifecycle.ts";

/** Ended migrations, tasks of one kind, and removals that are still told to a console that was away. */
const maxEnded = 100;
const maxRemoved = 1000;
/** A change is told at once; those that follow it within this time are told together, the last of each thing. */
const gatherMs = 50;

/**
 * What this host tells of itself: one sequence with rising ids. Of every thing only its newest event is kept, at its
 * place in the sequence; who resumes or reads slowly gets the newest of each and misses nothing, and memory is bounded
 * by the number of things, not of changes.
 */
export class Report {
	/** Names this life of the agent: ids of another run cannot be resumed from. */
	readonly run = crypto.randomUUID();
	readonly #nextGeneration: () => number;
	/** Newest event by thing, oldest first. */
	readonly #log = new Map<string, { id: number; event: ReportEvent }>();
	readonly #guests = new Map<GuestId, GuestReport>();
	readonly #migrations = new Map<string, MigrationReport>();
	readonly #backups = new Map<string, BackupReport>();
	readonly #restores = new Map<string, RestoreReport>();
	readonly #upkeeps = new Map<string, UpkeepReport>();
	readonly #waiting = new Set<() => void>();
	#lastId = 1;
	/** Events up to this id may have been forgotten. */
	#forgottenId = 0;
	#facts: HostFacts;
	#findings: Finding[] = [];
	#metrics: HostMetrics | null = null;

	constructor(options: { facts: HostFacts; nextGeneration: () => number }) {
		this.#facts = options.facts;
		this.#nextGeneration = options.nextGeneration;
	}

	get facts(): HostFacts {
		return this.#facts;
	}

	setFacts(facts: HostFacts): void {
		if (isDeepStrictEqual(facts, this.#facts)) return;
		this.#facts = facts;
		this.#tell("host", { type: "host.changed", facts });
	}

	/** The guest as it is now, `null` when it is not here any more. The same as before: nothing is told. */
	setGuest(guestId: GuestId, view: GuestView | null): void {
		const before = this.#guests.get(guestId);
		if (!view) {
			if (!before) return;
			this.#guests.delete(guestId);
			this.#tell(`guest/${guestId}`, { type: "guest.removed", guestId, generation: this.#nextGeneration() });
			this.#forgetOldest("guest.removed", maxRemoved);
		} else if (!before || !isDeepStrictEqual({ ...view, generation: before.generation }, before)) {
			const guest = { ...view, generation: this.#nextGeneration() };
			this.#guests.set(guestId, guest);
			this.#tell(`guest/${guestId}`, { type: "guest.changed", guest });
		}
	}

	/** The guest as it was last told. */
	guest(guestId: GuestId): GuestReport | undefined {
		return this.#guests.get(guestId);
	}

	setFindings(findings: Finding[]): void {
		if (isDeepStrictEqual(findings, this.#findings)) return;
		this.#findings = findings;
		this.#tell("findings", { type: "findings.changed", findings });
	}

	setMigration(migration: MigrationReport): void {
		const key = `migration/${migration.migrationId}`;
		this.#keep(this.#migrations, key, migration, ({ state }) => endedMigrationStates.includes(state));
		this.#tell(key, { type: "migration.changed", migration });
	}

	setBackup(backup: BackupReport): void {
		const key = `backup/${backup.pointId}`;
		this.#keep(this.#backups, key, backup, hasEnded);
		this.#tell(key, { type: "backup.changed", backup });
	}

	setRestore(restore: RestoreReport): void {
		const key = `restore/${restore.restoreId}`;
		this.#keep(this.#restores, key, restore, hasEnded);
		this.#tell(key, { type: "restore.changed", restore });
	}

	setUpkeep(upkeep: UpkeepReport): void {
		const key = `upkeep/${upkeep.upkeepId}`;
		this.#keep(this.#upkeeps, key, upkeep, hasEnded);
		this.#tell(key, { type: "upkeep.changed", upkeep });
	}

	setMetrics(host: HostMetrics, guests: GuestMetrics[]): void {
		this.#metrics = host;
		this.#tell("metrics", { type: "metrics.sampled", host, guests });
	}

	snapshot(): z.infer<typeof Snapshot> {
		return {
			type: "snapshot",
			facts: this.#facts,
			guests: [...this.#guests.values()],
			findings: this.#findings,
			migrations: [...this.#migrations.values()],
			backups: [...this.#backups.values()],
			restores: [...this.#restores.values()],
			upkeeps: [...this.#upkeeps.values()],
			metrics: this.#metrics,
		};
	}

	/** Snapshot, then changes, without end; behind `after` when nothing of what follows it was forgotten. */
	async *follow(after: { run: string; id: number } | undefined, signal: AbortSignal): AsyncGenerator<TrackedReport> {
		const resumes = after?.run === this.run && after.id >= this.#forgottenId && after.id <= this.#lastId;
		let id = resumes ? after.id : 0;
		if (!resumes) {
			id = this.#lastId;
			yield { run: this.run, id, event: this.snapshot() };
		}
		while (!signal.aborted) {
			if (id < this.#forgottenId) {
				id = this.#lastId;
				yield { run: this.run, id, event: this.snapshot() };
			}
			const news = this.#since(id);
			for (const { id: newsId, event } of news) {
				id = newsId;
				yield { run: this.run, id, event };
			}
			if (news.length > 0) await pause(gatherMs, signal);
			else await this.#change(id, signal);
		}
	}

	/** Puts the newest state of a task last, and forgets the oldest of those that have ended. */
	#keep<Task>(tasks: Map<string, Task>, key: string, task: Task, ended: (task: Task) => boolean): void {
		tasks.delete(key);
		tasks.set(key, task);
		const over = [...tasks].filter(([, one]) => ended(one));
		for (const [old] of over.slice(0, -maxEnded)) {
			tasks.delete(old);
			this.#forget(old);
		}
	}

	#tell(thing: string, event: ReportEvent): void {
		this.#log.delete(thing);
		this.#log.set(thing, { id: ++this.#lastId, event });
		for (const wake of [...this.#waiting]) wake();
	}

	#since(id: number): { id: number; event: ReportEvent }[] {
		return [...this.#log.values()].filter((entry) => entry.id > id);
	}

	#forget(thing: string): void {
		const entry = this.#log.get(thing);
		if (!entry) return;
		this.#log.delete(thing);
		this.#forgottenId = Math.max(this.#forgottenId, entry.id);
	}

	#forgetOldest(type: ReportEvent["type"], keep: number): void {
		const things = [...this.#log].filter(([, { event }]) => event.type === type).map(([thing]) => thing);
		for (const thing of things.slice(0, -keep)) this.#forget(thing);
	}

	#change(id: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			if (signal.aborted || this.#lastId > id) return resolve();
			const wake = () => {
				this.#waiting.delete(wake);
				signal.removeEventListener("abort", wake);
				resolve();
			};
			this.#waiting.add(wake);
			signal.addEventListener("abort", wake, { once: true });
		});
	}
}

function hasEnded({ state }: { state: BackupReport["state"] }): boolean {
	return endedTaskStates.includes(state);
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, durationMs);
		timer.unref();
		signal.addEventListener("abort", end, { once: true });
		if (signal.aborted) end();
	});
}
