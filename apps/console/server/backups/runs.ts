import { nextAttempt } from "@sterna/backup/admission";
import { type BackupReport, endedTaskStates } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type HostId, newId, PointId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import { and, eq, inArray } from "drizzle-orm";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { isUnheard } from "../guests/existence.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { Catalogue } from "./catalogue.ts";
import type { JobEntry, Jobs } from "./jobs.ts";
import type { BackupParts } from "./parts.ts";
import type { Repositories, RepositoryEntry } from "./repositories.ts";
import { isOwnPoint, refuseCancel, whyLost } from "./run-rules.ts";
import { TaskReports } from "./task-reports.ts";

export type RunEntry = typeof tables.backupRuns.$inferSelect;

const openStates = ["scheduled", "running", "waiting", "undoing"] as const;
const startTimeoutMs = 30_000;

export interface RunRequest {
	guest: Pick<GuestEntry, "id" | "name">;
	repository: RepositoryEntry;
	job: JobEntry | null;
	dueAt: number;
	windowEndsAt: number;
	notBefore: number;
	attempt: number;
	requestedBy: string;
}

/**
 * One row per attempt to make a recovery point: `scheduled` → `running` ⇄ `waiting` → `completed`, `failed` or
 * `cancelled`; or `scheduled` → `missed`. Everything is recorded before the agent is asked, and every command can be
 * repeated: a restarted console goes on where it was.
 */
export class Runs {
	readonly #parts: BackupParts & { repositories: Repositories; jobs: Jobs; catalogue: Catalogue };
	readonly #open = new Map<PointId, RunEntry>();
	readonly #reports = new TaskReports(this.#open);
	readonly #sending = new Set<PointId>();
	readonly #onPoint: (run: RunEntry) => Promise<void>;

	constructor(
		parts: BackupParts & { repositories: Repositories; jobs: Jobs; catalogue: Catalogue },
		/** A new point is there. */
		onPoint: (run: RunEntry) => Promise<void>,
	) {
		this.#parts = parts;
		this.#onPoint = onPoint;
	}

	async load(): Promise<void> {
		const { db } = this.#parts.core;
		const rows = await db
			.select()
			.from(tables.backupRuns)
			.where(inArray(tables.backupRuns.state, [...openStates]));
		for (const row of rows) this.#open.set(row.pointId, row);
	}

	/** Those that have not ended, also those that wait. */
	open(): RunEntry[] {
		return [...this.#open.values()];
	}

	waiting(): RunEntry[] {
		return this.open().filter(({ state }) => state === "scheduled");
	}

	active(): RunEntry[] {
		return this.open().filter(({ state }) => state !== "scheduled");
	}

	/** @throws {SternaError} `not_found`. */
	async get(pointId: PointId): Promise<RunEntry> {
		const open = this.#open.get(pointId);
		if (open) return open;
		const [row] = await this.#parts.core.db
			.select()
			.from(tables.backupRuns)
			.where(eq(tables.backupRuns.pointId, pointId));
		if (!row) throw new SternaError("not_found", `there is no backup run ${pointId}`);
		return row;
	}

	/** Puts a run into the queue. One of the same guest, job and repository that waits there already takes over the new time. */
	async enqueue(request: RunRequest): Promise<RunEntry> {
		const { core } = this.#parts;
		const { guest, repository, job, dueAt, windowEndsAt, notBefore, attempt, requestedBy } = request;
		const queued = this.waiting().find(
			(run) => run.guestId === guest.id && run.repositoryId === repository.id && run.jobId === (job?.id ?? null),
		);
		if (queued) {
			await this.#change(queued, { dueAt, windowEndsAt, notBefore });
			return queued;
		}
		const [run] = await core.db
			.insert(tables.backupRuns)
			.values({
				...{ pointId: newId(PointId), guestId: guest.id, guestName: guest.name, repositoryId: repository.id },
				...{ jobId: job?.id ?? null, state: "scheduled", attempt, dueAt, notBefore, windowEndsAt, requestedBy },
			})
			.returning();
		if (!run) throw new SternaError("internal", "the run was not recorded");
		this.#open.set(run.pointId, run);
		this.#touch(run);
		return run;
	}

	/** Gives the run to the host and has its agent begin. A lost answer is no error: `resend` asks again. */
	async begin(run: RunEntry, hostId: HostId): Promise<void> {
		const begun = await this.#reports.inTurn(run.pointId, async () => {
			// Whoever decided may not have seen that it was begun, cancelled or missed meanwhile.
			if (run.state !== "scheduled") return false;
			try {
				await this.#change(run, { state: "running", hostId, waitsFor: null, startedAt: this.#parts.clock.now() });
				return true;
			} catch (thrown) {
				// Another run of the guest has begun: the database has the last word.
				if (isTaken(thrown)) return false;
				throw thrown;
			}
		});
		if (begun) await this.#send(run);
	}

	/** Asks again for what an agent has not answered yet, and passes on what was cancelled. */
	async resend(): Promise<void> {
		await Promise.all(
			this.active()
				.filter((run) => run.hostId !== null && this.#parts.hub.isConnected(run.hostId))
				.map(async (run) => {
					if (!run.acknowledged) await this.#send(run);
					else if (run.cancelRequested) await this.#sendCancel(run).catch(() => {});
				}),
		);
	}

	/** Why it waits, for those who look. */
	async waits(run: RunEntry, because: string): Promise<void> {
		if (run.waitsFor !== because) await this.#change(run, { waitsFor: because });
	}

	/** It could not begin in time. The caller tells. */
	async miss(run: RunEntry, because: string): Promise<void> {
		await this.#reports.inTurn(run.pointId, async () => {
			if (run.state === "scheduled") await this.#end(run, "missed", { code: "timeout", message: because });
		});
	}

	/** @throws {SternaError} `wrong_state` when there is nothing to cancel any more. */
	async cancel(run: RunEntry, actor: string): Promise<RunEntry> {
		const refusal = refuseCancel(run);
		if (refusal) throw new SternaError("wrong_state", `the backup of ${run.guestName} is not cancelled: ${refusal}`);
		await this.#change(run, { cancelRequested: true });
		await this.#tell(run, "backup.cancelRequested", actor, `${actor} cancelled the backup of ${run.guestName}`);
		await this.#reports.inTurn(run.pointId, async () => {
			if (run.state === "scheduled") await this.#end(run, "cancelled", null);
		});
		if (run.endedAt === null && run.hostId && this.#parts.hub.isConnected(run.hostId)) await this.#sendCancel(run);
		return run;
	}

	/** What an agent says of a run. False: it is not its to say. */
	reported(hostId: HostId, report: BackupReport): Promise<boolean> {
		return this.#reports.take(hostId, report.pointId, report.generation, () => this.#take(hostId, report));
	}

	/** A host is there, and was not given anything yet. */
	connected(hostId: HostId): void {
		this.#reports.connected(hostId);
	}

	/** A host has gone. */
	disconnected(hostId: HostId): void {
		this.#reports.disconnected(hostId);
	}

	async #take(hostId: HostId, report: BackupReport): Promise<boolean> {
		const run = this.#open.get(report.pointId);
		if (!run) return endedTaskStates.includes(report.state) || this.#wasOn(hostId, report.pointId);
		if (run.hostId !== hostId || run.guestId !== report.guestId || run.repositoryId !== report.repositoryId)
			return false;
		if (report.point && !isOwnPoint(report.point, run)) return false;
		const { state, error } = report;
		if (state === "completed" && report.point) await this.#completed(run, report);
		else if (state === "failed" || state === "cancelled") await this.#fail(run, state, error, report);
		else await this.#change(run, { acknowledged: true, state: state === "completed" ? "running" : state, report });
		return true;
	}

	/** After a host's snapshot: a run that it had begun and does not know any more can never end by itself. */
	async settleUnknown(hostId: HostId, known: ReadonlySet<string>): Promise<void> {
		for (const run of this.#reports.lost(hostId, known)) {
			await this.#giveUp(run, {
				code: "unavailable",
				message: "the host knows nothing of this backup any more",
			});
		}
	}

	/** A run whose host never comes back, or is gone while its guest lives elsewhere: a new attempt has a new point. */
	async giveUpLost(): Promise<void> {
		const { inventory } = this.#parts.core;
		for (const run of this.active()) {
			if (!run.hostId || this.#parts.hub.isConnected(run.hostId)) continue;
			const because = whyLost(inventory.host(run.hostId), inventory.guests.get(run.guestId));
			if (because) await this.#giveUp(run, because);
		}
	}

	async #send(run: RunEntry): Promise<void> {
		const { core, hub, repositories, jobs } = this.#parts;
		const guest = core.inventory.guests.get(run.guestId);
		if (!run.hostId || this.#sending.has(run.pointId)) return;
		this.#sending.add(run.pointId);
		try {
			const spec = jobs.find(run.jobId)?.spec;
			const report = await hub.call(
				run.hostId,
				"backup.start",
				{
					...{ access: repositories.accessOf(repositories.get(run.repositoryId)), pointId: run.pointId },
					...{ guestId: run.guestId, epoch: guest?.grant.ownerEpoch ?? 1 },
					options: { bytesPerSecond: spec?.bytesPerSecond ?? null, freeze: spec?.freeze ?? true },
				},
				{ timeoutMs: startTimeoutMs },
			);
			await this.#change(run, { acknowledged: true });
			await this.reported(run.hostId, report);
		} catch (thrown) {
			const error = asSternaError(thrown);
			core.log.info({ err: error, pointId: run.pointId }, "backup not begun");
			if (!isUnheard(error)) await this.#giveUp(run, error.toWire());
		} finally {
			this.#sending.delete(run.pointId);
		}
	}

	async #sendCancel(run: RunEntry): Promise<void> {
		if (!run.hostId) return;
		try {
			await this.reported(
				run.hostId,
				await this.#parts.hub.call(run.hostId, "backup.cancel", { pointId: run.pointId }),
			);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#parts.core.log.info({ err: error, pointId: run.pointId }, "cancel not taken");
			if (error.code === "wrong_state") {
				await this.#change(run, { cancelRequested: false });
				throw error;
			}
		}
	}

	async #completed(run: RunEntry, report: BackupReport): Promise<void> {
		if (!report.point) return;
		const { catalogue, core } = this.#parts;
		await catalogue.record(report.point, run.jobId);
		await this.#end(run, "completed", null, report);
		const whole = report.volumes
			.filter(({ read }) => read === "whole")
			.map(({ volumeId, reason }) => ({ volumeId, reason }));
		const { readBytes, storedBytes, frozenMs } = report;
		await this.#tell(
			run,
			"backup.completed",
			run.requestedBy,
			`${run.guestName} was backed up by ${core.inventory.hostName(report.hostId)}`,
			{
				evidence: { readBytes, storedBytes, frozenMs, whole, attempt: run.attempt },
			},
		);
		await this.#onPoint(run);
	}

	/** It fails without the host's word, unless it has ended by then. */
	#giveUp(run: RunEntry, error: Refusal): Promise<void> {
		return this.#reports.inTurn(run.pointId, async () => {
			if (run.endedAt === null) await this.#fail(run, "failed", error, null);
		});
	}

	async #fail(
		run: RunEntry,
		state: "failed" | "cancelled",
		error: BackupReport["error"],
		report: BackupReport | null,
	): Promise<void> {
		const { core, clock, jobs, repositories } = this.#parts;
		const guest = core.inventory.guests.get(run.guestId);
		const gaveWay = guest !== undefined && (guest.grant.permit !== null || guest.grant.ownerHostId !== run.hostId);
		const job = jobs.find(run.jobId);
		const rule = { retries: job?.spec.retries ?? 0, retryAfterMs: (job?.spec.retryAfterMinutes ?? 1) * 60_000 };
		const byPerson = run.cancelRequested;
		const next = guest
			? nextAttempt(
					{ attempt: run.attempt, windowEndsAt: run.windowEndsAt, cancelledByPerson: byPerson, gaveWay },
					rule,
					clock.now(),
				)
			: { notBefore: null, because: "the guest is not there any more" };
		await this.#end(run, state, error, report ?? undefined);
		const again =
			next.notBefore === null
				? `not tried again: ${next.because}`
				: gaveWay
					? "tried again once it has moved"
					: "tried again";
		await this.#tell(
			run,
			`backup.${state}`,
			run.requestedBy,
			`The backup of ${run.guestName} ${state === "failed" ? "failed" : "was cancelled"}; ${again}`,
			{
				why: error?.message ?? null,
				severity: state === "failed" && next.notBefore === null ? "degraded" : null,
				evidence: { attempt: run.attempt, error, journal: report?.journal ?? [] },
			},
		);
		if (next.notBefore === null || !guest) return;
		const repository = repositories.all().find(({ id }) => id === run.repositoryId);
		if (!repository) return;
		const { dueAt, windowEndsAt, requestedBy } = run;
		await this.enqueue({ ...next, guest, repository, job, dueAt, windowEndsAt, requestedBy });
	}

	/** A word about a run that has ended here meanwhile; it is no news, but it is no lie either. */
	async #wasOn(hostId: HostId, pointId: PointId): Promise<boolean> {
		const { backupRuns: runs } = tables;
		return (await this.#parts.core.db.$count(runs, and(eq(runs.pointId, pointId), eq(runs.hostId, hostId)))) > 0;
	}

	async #end(
		run: RunEntry,
		state: "completed" | "failed" | "cancelled" | "missed",
		error: Refusal | null,
		report?: BackupReport,
	): Promise<void> {
		await this.#change(run, {
			state,
			error,
			endedAt: this.#parts.clock.now(),
			...(report ? { report, acknowledged: true } : {}),
		});
		this.#open.delete(run.pointId);
	}

	async #change(run: RunEntry, values: Partial<RunEntry>): Promise<void> {
		const { db } = this.#parts.core;
		await db.update(tables.backupRuns).set(values).where(eq(tables.backupRuns.pointId, run.pointId));
		Object.assign(run, values);
		this.#touch(run);
	}

	#touch(run: RunEntry): void {
		const { changes } = this.#parts.core;
		changes.touch(
			"runs",
			`run:${run.pointId}`,
			"protection",
			`guest:${run.guestId}`,
			`repository:${run.repositoryId}`,
			"overview",
		);
		if (run.jobId) changes.touch("jobs", `job:${run.jobId}`);
	}

	#tell(
		run: RunEntry,
		kind: string,
		actor: string,
		sentence: string,
		more: { why?: string | null; evidence?: unknown; severity?: "degraded" | null } = {},
	): Promise<void> {
		const job = this.#parts.jobs.find(run.jobId);
		const objects = [
			{ type: "guest" as const, id: run.guestId, name: run.guestName },
			{ type: "point" as const, id: run.pointId, name: run.guestName },
			...(job ? [{ type: "job" as const, id: job.id, name: job.name }] : []),
		];
		return this.#parts.core.events.append({ kind, actor, objects, sentence, ...more });
	}
}
