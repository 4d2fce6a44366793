import { type ActiveTask, admit, type RunSituation, type WaitingRun } from "@sterna/backup/admission";
import { type DueAnswer, lookForDue, maxMissedCounted } from "@sterna/backup/due";
import { SternaError } from "@sterna/shared/errors";
import type { GuestEntry } from "../inventory/inventory.ts";
import { connectionOf } from "../inventory/standing.ts";
import type { JobEntry, Jobs } from "./jobs.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import { type Repositories, type RepositoryEntry, refuseUnconfirmed } from "./repositories.ts";
import type { RunEntry, Runs } from "./runs.ts";

/** What a person asked for begins within this time. */
const byHandWindowMs = 4 * 3_600_000;
/** Limits of runs that no job sets. */
const byHandLimits = { atOncePerHost: 2, atOncePerRepository: 8 };

/** Carries the schedules out: what is due is queued, whose turn it is begins, what could not begin is told. */
export class Scheduler {
	readonly #parts: BackupParts & { repositories: Repositories; jobs: Jobs; runs: Runs; reach: Reach };
	/** Restores and drills under way: they count against the limits too. */
	readonly #otherTasks: () => ActiveTask[];

	constructor(
		parts: BackupParts & { repositories: Repositories; jobs: Jobs; runs: Runs; reach: Reach },
		otherTasks: () => ActiveTask[],
	) {
		this.#parts = parts;
		this.#otherTasks = otherTasks;
	}

	/** One round: called every second. Agents are not waited for. */
	async tick(): Promise<void> {
		const { jobs, runs } = this.#parts;
		for (const job of jobs.all()) if (job.spec.enabled) await this.#look(job);
		await runs.giveUpLost();
		await this.#admit();
		void runs.resend().catch((err) => this.#parts.core.log.error({ err }, "runs not carried on"));
	}

	/** All guests of the job, now. Returns how many wait. */
	async runNow(job: JobEntry, actor: string): Promise<number> {
		const guests = this.#parts.jobs.guestsOf(job);
		if (guests.length === 0) {
			throw new SternaError("wrong_state", `${job.name} takes no guest at the moment`, {
				cure: "look at its selection",
			});
		}
		await this.#enqueue(job, this.#parts.clock.now(), actor);
		await this.#parts.core.events.append({
			...{ kind: "job.started", actor, objects: [{ type: "job", id: job.id, name: job.name }] },
			...{ sentence: `${actor} started the backup job ${job.name} for ${guests.length} guests` },
		});
		await this.#admit();
		return guests.length;
	}

	/** Backs one guest up now. @throws {SternaError} what stands in the way of recording it. */
	async runGuest(guest: GuestEntry, repository: RepositoryEntry, actor: string): Promise<RunEntry> {
		const { core, clock, runs } = this.#parts;
		refuseUnconfirmed(repository);
		if (guest.existence !== "present")
			throw new SternaError("wrong_state", `${guest.name} is being changed; try again in a moment`);
		if (guest.spec.volumes.length === 0)
			throw new SternaError("wrong_state", `${guest.name} has no disk: there is nothing to save`);
		const now = clock.now();
		const times = { dueAt: now, notBefore: now, windowEndsAt: now + byHandWindowMs };
		const run = await runs.enqueue({ guest, repository, job: null, attempt: 1, requestedBy: actor, ...times });
		await core.events.append({
			...{ kind: "backup.requested", actor, objects: [{ type: "guest", id: guest.id, name: guest.name }] },
			...{ sentence: `${actor} asked for a backup of ${guest.name} into ${repository.name}` },
		});
		await this.#admit();
		return run;
	}

	async #look(job: JobEntry): Promise<void> {
		const { jobs, clock } = this.#parts;
		const { cron, timeZone, startWithinMinutes } = job.spec;
		const schedule = { cron, timeZone, seenAt: job.seenAt, startWithinMs: startWithinMinutes * 60_000 };
		const answer = lookForDue(schedule, clock.now());
		if (answer.seenAt === job.seenAt) return;
		if (answer.dueAt !== null) await this.#enqueue(job, answer.dueAt, `job ${job.name}`);
		if (answer.missed) await this.#tellMissed(job, answer.missed);
		// Noted last: a console killed before repeats the queueing, which does no harm.
		await jobs.saw(job, { seenAt: answer.seenAt });
	}

	async #enqueue(job: JobEntry, dueAt: number, requestedBy: string): Promise<void> {
		const { jobs, runs, repositories } = this.#parts;
		const repository = repositories.get(job.spec.repositoryId);
		const windowEndsAt = dueAt + job.spec.startWithinMinutes * 60_000;
		for (const guest of jobs.guestsOf(job)) {
			await runs.enqueue({ guest, repository, job, dueAt, windowEndsAt, notBefore: dueAt, attempt: 1, requestedBy });
		}
	}

	async #tellMissed(job: JobEntry, missed: NonNullable<DueAnswer["missed"]>): Promise<void> {
		const times =
			missed.count === maxMissedCounted
				? `more than ${maxMissedCounted} times`
				: missed.count === 1
					? "one time"
					: `${missed.count} times`;
		await this.#parts.core.events.append({
			...{ kind: "job.missed", actor: "console", objects: [{ type: "job", id: job.id, name: job.name }] },
			sentence: `${job.name} was not run at ${times}: the console was away then, or its clock jumped`,
			evidence: {
				...missed,
				firstAt: new Date(missed.firstAt).toISOString(),
				lastAt: new Date(missed.lastAt).toISOString(),
			},
			severity: "watch",
		});
	}

	async #admit(): Promise<void> {
		const { runs, clock } = this.#parts;
		const waiting = runs.waiting();
		if (waiting.length === 0) return;
		const active: ActiveTask[] = runs
			.active()
			.flatMap(({ guestId, hostId, repositoryId }) => (hostId ? [{ guestId, hostId, repositoryId }] : []));
		const asked = waiting.map((run): WaitingRun => ({ ...run, ...this.#limitsOf(run) }));
		const answers = admit(asked, [...active, ...this.#otherTasks()], (run) => this.#situationOf(run), clock.now());
		const missed: { run: RunEntry; because: string }[] = [];
		for (const answer of answers) {
			const run = waiting.find(({ pointId }) => pointId === answer.pointId);
			if (!run) continue;
			if (answer.kind === "start") void this.#begin(run, answer.hostId);
			else if (answer.kind === "wait") await runs.waits(run, answer.because);
			else {
				await runs.miss(run, answer.because);
				missed.push({ run, because: answer.because });
			}
		}
		if (missed.length > 0) await this.#tellMissedRuns(missed);
	}

	async #begin(run: RunEntry, hostId: RunSituation["hostId"]): Promise<void> {
		await this.#parts.runs
			.begin(run, hostId)
			.catch((err) => this.#parts.core.log.error({ err, pointId: run.pointId }, "run not begun"));
	}

	#limitsOf(run: RunEntry) {
		const spec = this.#parts.jobs.find(run.jobId)?.spec;
		return spec ? { atOncePerHost: spec.atOncePerHost, atOncePerRepository: spec.atOncePerRepository } : byHandLimits;
	}

	#situationOf(run: { guestId: GuestEntry["id"]; repositoryId: RepositoryEntry["id"] }): RunSituation | null {
		const { core, repositories, reach } = this.#parts;
		const guest = core.inventory.guests.get(run.guestId);
		const repository = repositories.all().find(({ id }) => id === run.repositoryId);
		if (!guest || !repository) return null;
		const host = core.inventory.host(guest.grant.ownerHostId);
		const obstacle =
			guest.existence === "present"
				? !host.connected || connectionOf(host, core.now()) !== "online"
					? `its host ${host.name} is out of reach`
					: guest.grant.permit
						? "it is being migrated"
						: reach.obstacle(host.id, repository)
				: "it is being created, restored or deleted";
		return { hostId: host.id, hostName: host.name, obstacle };
	}

	/** One event for all guests of a job that were too late together. */
	async #tellMissedRuns(missed: readonly { run: RunEntry; because: string }[]): Promise<void> {
		const { core, jobs } = this.#parts;
		for (const [jobId, ofJob] of Map.groupBy(missed, ({ run }) => run.jobId)) {
			const job = jobs.find(jobId);
			const names = ofJob.map(({ run }) => run.guestName);
			await core.events.append({
				kind: "backup.missed",
				actor: "console",
				objects: [
					...(job ? [{ type: "job" as const, id: job.id, name: job.name }] : []),
					...ofJob.slice(0, 20).map(({ run }) => ({ type: "guest" as const, id: run.guestId, name: run.guestName })),
				],
				sentence: `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""} ${names.length === 1 ? "was" : "were"} not backed up in time`,
				why: ofJob[0]?.because ?? null,
				evidence: ofJob.map(({ run, because }) => ({
					guest: run.guestName,
					because,
					dueAt: run.dueAt,
					windowEndsAt: run.windowEndsAt,
				})),
				severity: "degraded",
			});
		}
	}
}
