import type { BackupJobSpec } from "@sterna/backup/job";
import { isSelected } from "@sterna/backup/selection";
import { SternaError } from "@sterna/shared/errors";
import { BackupJobId, newId, type RepositoryId } from "@sterna/shared/ids";
import { eq } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { BackupParts } from "./parts.ts";
import { type Repositories, refuseUnconfirmed } from "./repositories.ts";

export type JobEntry = typeof tables.backupJobs.$inferSelect;

/** The backup jobs; removed ones too, because their rule goes on for the points that they made. */
export class Jobs {
	readonly #parts: BackupParts;
	readonly #repositories: Repositories;
	readonly #entries = new Map<BackupJobId, JobEntry>();

	constructor(parts: BackupParts, repositories: Repositories) {
		this.#parts = parts;
		this.#repositories = repositories;
	}

	async load(): Promise<void> {
		for (const row of await this.#parts.core.db.select().from(tables.backupJobs)) this.#entries.set(row.id, row);
	}

	/** Those that were not removed. */
	all(): JobEntry[] {
		return [...this.#entries.values()].filter((job) => job.removedAt === null);
	}

	/** @throws {SternaError} `not_found`, also for a removed one. */
	get(id: string): JobEntry {
		const job = this.#entries.get(id as BackupJobId);
		if (!job || job.removedAt !== null) throw new SternaError("not_found", `there is no backup job ${id}`);
		return job;
	}

	/** Also a removed one: its name and rule are still needed. */
	find(id: BackupJobId | null): JobEntry | null {
		return id === null ? null : (this.#entries.get(id) ?? null);
	}

	guestsOf({ spec }: Pick<JobEntry, "spec">): GuestEntry[] {
		return [...this.#parts.core.inventory.guests.values()].filter((guest) => takes(spec, guest));
	}

	/** The enabled jobs that take the guest. */
	jobsOf(guest: GuestEntry): JobEntry[] {
		return this.all().filter(({ spec }) => spec.enabled && takes(spec, guest));
	}

	/**
	 * The job whose rule decides about a point: its own; where that is not known (a person asked, or the repository was
	 * attached), one that takes the guest into this repository now. Null: no rule, it stays.
	 */
	ruleOf(point: { guestId: string; repositoryId: RepositoryId; jobId: BackupJobId | null }): JobEntry | null {
		const own = this.find(point.jobId);
		if (own) return own;
		const guest = this.#parts.core.inventory.guests.get(point.guestId as GuestEntry["id"]);
		if (!guest) return null;
		return this.jobsOf(guest).find(({ spec }) => spec.repositoryId === point.repositoryId) ?? null;
	}

	/** @throws {SternaError} `wrong_state` while the repository's key is not confirmed; `conflict` for a taken name. */
	async create(spec: BackupJobSpec, actor: string): Promise<JobEntry> {
		const { core, clock } = this.#parts;
		this.#refuse(spec);
		const id = newId(BackupJobId);
		const seenAt = clock.now();
		const job = await core.db
			.transaction(async (tx) => {
				const [row] = await tx
					.insert(tables.backupJobs)
					.values({ id, name: spec.name, spec, seenAt, drillSeenAt: seenAt, createdAt: core.now(), createdBy: actor })
					.returning();
				if (!row) throw new SternaError("internal", "the job was not recorded");
				await this.#tell(row, "job.created", actor, `${actor} made the backup job ${spec.name}`, spec, tx);
				return row;
			})
			.catch((thrown) => refuseTaken(thrown, spec.name));
		this.#entries.set(id, job);
		this.#touch(job);
		return job;
	}

	/** Times of the new schedule count from now on. @throws as `create`. */
	async update(job: JobEntry, spec: BackupJobSpec, actor: string): Promise<void> {
		const { core, clock } = this.#parts;
		if (spec.repositoryId !== job.spec.repositoryId || (spec.enabled && !job.spec.enabled)) this.#refuse(spec);
		const now = clock.now();
		const sameTimes =
			job.spec.cron === spec.cron && job.spec.timeZone === spec.timeZone && job.spec.enabled === spec.enabled;
		const sameDrills = sameTimes && job.spec.drill?.cron === spec.drill?.cron;
		const values = {
			...{ name: spec.name, spec },
			...{ seenAt: sameTimes ? job.seenAt : now, drillSeenAt: sameDrills ? job.drillSeenAt : now },
		};
		await core.db
			.transaction(async (tx) => {
				await tx.update(tables.backupJobs).set(values).where(eq(tables.backupJobs.id, job.id));
				const evidence = { before: job.spec, after: spec };
				await this.#tell(job, "job.changed", actor, `${actor} changed the backup job ${spec.name}`, evidence, tx);
			})
			.catch((thrown) => refuseTaken(thrown, spec.name));
		Object.assign(job, values);
		this.#touch(job);
	}

	/** Its points stay, under its rule. */
	async remove(job: JobEntry, actor: string): Promise<void> {
		const { core } = this.#parts;
		const removedAt = core.now();
		await core.db.transaction(async (tx) => {
			await tx.update(tables.backupJobs).set({ removedAt }).where(eq(tables.backupJobs.id, job.id));
			const sentence = `${actor} removed the backup job ${job.name}; its points stay under its retention`;
			await this.#tell(job, "job.removed", actor, sentence, job.spec, tx);
		});
		job.removedAt = removedAt;
		this.#touch(job);
	}

	/** Notes up to when the job's times, or its drills', were looked at. */
	async saw(job: JobEntry, values: { seenAt: number } | { drillSeenAt: number }): Promise<void> {
		await this.#parts.core.db.update(tables.backupJobs).set(values).where(eq(tables.backupJobs.id, job.id));
		Object.assign(job, values);
		this.#touch(job);
	}

	#refuse(spec: BackupJobSpec): void {
		refuseUnconfirmed(this.#repositories.get(spec.repositoryId));
	}

	#touch(job: JobEntry): void {
		this.#parts.core.changes.touch("jobs", `job:${job.id}`, "overview", "protection");
	}

	#tell(
		job: JobEntry,
		kind: string,
		actor: string,
		sentence: string,
		evidence: unknown,
		tx: Transaction,
	): Promise<void> {
		const objects = [{ type: "job" as const, id: job.id, name: job.name }];
		return this.#parts.core.events.append({ kind, actor, objects, sentence, evidence }, tx);
	}
}

function takes(spec: BackupJobSpec, guest: GuestEntry): boolean {
	if (guest.existence !== "present") return false;
	const { volumes } = guest.spec;
	const pools = volumes.map(({ pool }) => pool);
	return isSelected(spec.selection, { id: guest.id, tags: guest.tags, pools, volumes: volumes.length });
}

function refuseTaken(thrown: unknown, name: string): never {
	if (!isTaken(thrown)) throw thrown;
	throw new SternaError("conflict", `there is a backup job named ${name} already`, { cure: "choose another name" });
}
