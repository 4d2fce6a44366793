import { join } from "node:path";
import { runBackup, settleAbandon, settleRun } from "@sterna/backup/run";
import { committedPoint, hasEnded, owesAbandon, RunEntry, type RunFacts } from "@sterna/backup/run-journal";
import type { RunClock } from "@sterna/backup/run-ports";
import { BackupRun } from "@sterna/backup/run-state";
import { refuseExecution } from "@sterna/migration/handover";
import { type BackupReport, endedTaskStates, type RepositoryAccess } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type GuestId, PointId, type RepositoryId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import type { Output, ParsedInput } from "@sterna/shared/protocol/commands";
import type { Logger } from "pino";
import type { AgentContext, BackupService } from "../context.ts";
import type { KnownGuest } from "../guests/store.ts";
import { Journals } from "../journals.ts";
import { expiredJournals } from "../migrations/journal-retention.ts";
import type { Life } from "../migrations/life.ts";
import { KeptAccess } from "../repositories/kept-access.ts";
import type { Repositories } from "../repositories/repositories.ts";
import { guestPort } from "./guest-port.ts";
import { readChain } from "./plan.ts";
import { repositoryPort } from "./repository-port.ts";

/** Ended runs that are still told; their journals stay on disk for longer. */
const rememberedRuns = 50;

interface Running {
	run: BackupRun;
	cancel: AbortController;
	settled: Promise<void>;
	closeSession(): Promise<void>;
}

interface Made {
	pointId: PointId;
	guestId: GuestId;
	repositoryId: RepositoryId;
}

/** The runs of this host: each saves one guest into one repository. */
export class Runs implements BackupService {
	readonly #context: AgentContext;
	readonly #repositories: Repositories;
	readonly #life: Life;
	readonly #observe: (entry: RunEntry) => Promise<void>;
	readonly #journals: Journals<PointId, RunEntry>;
	readonly #access: KeptAccess;
	readonly #clock: RunClock;
	readonly #log: Logger;
	readonly #running = new Map<GuestId, Running>();
	readonly #reports = new Map<PointId, BackupReport>();
	/** The points that this host remembers to have made. */
	readonly #made: Made[] = [];
	readonly #endedAtMs = new Map<PointId, number>();

	constructor(options: {
		context: AgentContext;
		repositories: Repositories;
		life: Life;
		observe: (entry: RunEntry) => Promise<void>;
	}) {
		const { context, life } = options;
		this.#context = context;
		this.#repositories = options.repositories;
		this.#life = life;
		this.#observe = options.observe;
		const folder = join(context.dataDir, "backups");
		this.#journals = new Journals({ folder, ids: PointId, entries: RunEntry });
		this.#access = new KeptAccess(folder);
		this.#log = context.log.child({ part: "backups" });
		this.#clock = {
			now: () => context.clock.now(),
			after: (delayMs, action) => {
				const timer = setTimeout(() => life.signal.aborted || action(), delayMs);
				return () => clearTimeout(timer);
			},
		};
	}

	async plan({ access, guestId, options }: ParsedInput<"backup.plan">): Promise<Output<"backup.plan">> {
		const guest = this.#context.store.get(guestId);
		const refusal = this.#refusal(guestId, null);
		if (!guest?.spec || refusal) {
			const found = refusal ?? { code: "not_found", message: `guest ${guestId} is not on this host` };
			return { guestId, parentPointId: null, volumes: [], refusals: [found] };
		}
		const { hypervisor, places } = this.#context;
		const volumes = places.volumes(guest.spec);
		const remembered = this.#remembered(guestId, access.repositoryId);
		const chain = await this.#repositories.use(access, (repository) =>
			readChain(hypervisor, repository, { guestId, volumes, remembered, readWhole: options.readWhole }),
		);
		return {
			guestId,
			parentPointId: chain.parentPointId,
			volumes: chain.volumes.map(({ volumeId, sizeBytes, read, reason, readBytes }) => ({
				volumeId,
				sizeBytes,
				read,
				reason,
				readBytes,
			})),
			refusals: [],
		};
	}

	/**
	 * Begins a run; fulfilled when its journal has it. The same point again: no change.
	 * @throws {SternaError} `not_found`, `conflict` naming what the guest is busy with: nothing has changed then.
	 */
	start({ access, pointId, guestId, epoch, options }: ParsedInput<"backup.start">): Promise<BackupReport> {
		const { queue, hostId, clock } = this.#context;
		return queue.run(guestId, async () => {
			const known = this.#reports.get(pointId);
			if (known) return known;
			const refusal = this.#refusal(guestId, epoch);
			if (refusal) throw new SternaError(refusal.code, refusal.message, refusal.cure ? { cure: refusal.cure } : {});
			const { spec } = this.#needGuest(guestId);
			const { repositoryId } = access;
			const facts: RunFacts = { pointId, guestId, repositoryId, hostId, spec, options, startedAt: clock.now() };
			await this.#access.keep(pointId, access);
			const running = this.#make(facts, access, []);
			await running.run.note({ type: "opened", run: facts });
			this.#launch(running, () => runBackup(running.run));
			return running.run.report();
		});
	}

	/**
	 * Begins to undo a run; its end comes as a report. Cancelled already: no change.
	 * @throws {SternaError} `not_found`; `wrong_state` when the point is there or the run has ended otherwise.
	 */
	async cancel(pointId: PointId): Promise<BackupReport> {
		const report = this.#reports.get(pointId);
		if (!report) throw new SternaError("not_found", `this host has made no run ${pointId}`);
		const running = this.#running.get(report.guestId);
		if (running?.run.facts.pointId !== pointId) {
			if (report.state === "cancelled") return report;
			throw new SternaError("wrong_state", `the backup is ${report.state}; there is nothing to cancel`);
		}
		if (committedPoint(running.run.journal)) {
			throw new SternaError("wrong_state", "the recovery point is there already");
		}
		running.cancel.abort(new SternaError("cancelled", "the backup was cancelled"));
		return running.run.report();
	}

	reports(): BackupReport[] {
		return [...this.#reports.values()];
	}

	/** A run that an earlier life began is settled: its point is there, or it never will be. */
	async resumeAll(): Promise<void> {
		for (const pointId of await this.#journals.list()) {
			const journal = await this.#read(pointId);
			const [opening] = journal;
			if (opening?.type !== "opened") continue;
			const facts = opening.run;
			if (committedPoint(journal)) this.#made.push(facts);
			const access = await this.#access.read(pointId).catch(() => null);
			const running = this.#make(facts, access, journal);
			this.#reports.set(pointId, running.run.report());
			if (hasEnded(journal) && !owesAbandon(journal)) {
				this.#endedAtMs.set(pointId, journal.at(-1)?.at ?? 0);
				continue;
			}
			this.#log.info({ pointId, guestId: facts.guestId }, "an earlier life's run is settled");
			if (hasEnded(journal)) this.#payLater(running.run);
			else {
				const error = new SternaError("unavailable", "the agent was started again while the backup ran", {
					cure: "run it again; only what changed is read",
				});
				this.#launch(running, () => settleRun(running.run, error));
			}
		}
		this.#forgetOld();
		await this.#removeExpired();
	}

	async close(): Promise<void> {
		await Promise.all([...this.#running.values()].map((running) => running.closeSession()));
	}

	#make(facts: RunFacts, access: RepositoryAccess | null, journal: RunEntry[]): Running {
		const context = this.#context;
		const cancel = new AbortController();
		const repository = repositoryPort({
			context,
			repositories: this.#repositories,
			facts,
			access,
			clock: this.#clock,
			remembered: this.#remembered(facts.guestId, facts.repositoryId),
			signal: AbortSignal.any([cancel.signal, this.#life.signal]),
			onWaiting: (reason) => run.setWaiting(reason),
		});
		const observe = this.#observe;
		const run: BackupRun = new BackupRun({
			facts,
			cancel: cancel.signal,
			stop: this.#life.signal,
			journal,
			ports: {
				guest: this.#life.bound(guestPort(context, facts)),
				repository: this.#life.bound(repository),
				journal: this.#life.bound({
					append: async (entries: readonly RunEntry[]) => {
						await this.#journals.append(facts.pointId, entries);
						for (const entry of entries) await observe(entry);
					},
				}),
				clock: this.#clock,
				publish: (report) => this.#publish(report),
			},
		});
		return { run, cancel, settled: Promise.resolve(), closeSession: () => repository.close() };
	}

	#launch(running: Running, work: () => Promise<BackupReport>): void {
		const { run } = running;
		const { pointId, guestId } = run.facts;
		this.#running.set(guestId, running);
		const letGo = this.#context.holds.place(guestId, {
			reason: `is being backed up, by run ${pointId}`,
			// A guest that is stopped is read from its files, which nobody else may write meanwhile.
			refuses: ["start", "delete", "changeVolumes", "restore"],
			giveWay: async () => {
				running.cancel.abort(new SternaError("cancelled", "the backup gave way to a move of its guest"));
				await running.settled;
			},
		});
		const settle = async () => {
			try {
				const { state, error } = await work();
				this.#log.info({ pointId, guestId, state, err: error ?? undefined }, "backup ended");
				if (committedPoint(run.journal)) this.#made.push(run.facts);
			} finally {
				this.#running.delete(guestId);
				letGo();
				this.#publish(run.report());
				await running.closeSession();
			}
			this.#forgetOld();
			if (owesAbandon(run.journal)) this.#payLater(run);
			else await this.#ended(pointId);
		};
		running.settled = settle();
		this.#life.background(running.settled, (thrown) =>
			this.#log.error({ pointId, guestId, err: asSternaError(thrown) }, "backup stopped"),
		);
	}

	/** Tells the repository that no point will come of the run, until it has heard. */
	#payLater(run: BackupRun): void {
		const { pointId } = run.facts;
		const paid = settleAbandon(run).then(() => this.#ended(pointId));
		this.#life.background(paid, (thrown) =>
			this.#log.error({ pointId, err: asSternaError(thrown) }, "a repository could not be told of a failed backup"),
		);
	}

	async #ended(pointId: PointId): Promise<void> {
		await this.#access.forget(pointId);
		this.#endedAtMs.set(pointId, this.#clock.now());
		await this.#removeExpired();
	}

	/** Why the guest cannot be saved now; null when it can. `epoch` null: nobody speaks for a grant, as in a plan. */
	#refusal(guestId: GuestId, epoch: number | null): Refusal | null {
		const guest = this.#context.store.get(guestId);
		if (!guest?.spec || guest.record.role === "none") {
			return { code: "not_found", message: `guest ${guestId} is not on this host` };
		}
		const { name } = guest.spec;
		const { record } = guest;
		if (record.role !== "owner") return { code: "wrong_state", message: `guest ${name} does not run here now` };
		const refused = epoch === null ? null : refuseExecution(record, epoch);
		if (refused) return { code: refused.code, message: `guest ${name}: ${refused.message}` };
		if (record.outgoing)
			return { code: "conflict", message: `guest ${name} is being moved`, cure: "wait for its move" };
		const running = this.#running.get(guestId);
		if (running) {
			const { pointId } = running.run.facts;
			return {
				code: "conflict",
				message: `guest ${name} is being backed up already, by run ${pointId}`,
				cure: "wait for its end",
			};
		}
		const held = this.#context.holds.refusal(guestId, "backup");
		if (held) return { code: "conflict", message: `guest ${name} ${held}`, cure: "wait for its end" };
		return guest.spec.volumes.length === 0
			? { code: "invalid", message: `guest ${name} has no volume that could be saved` }
			: null;
	}

	#needGuest(guestId: GuestId): KnownGuest {
		const guest = this.#context.store.get(guestId);
		if (guest?.spec) return { ...guest, spec: guest.spec };
		throw new SternaError("not_found", `guest ${guestId} is not on this host`);
	}

	#remembered(guestId: GuestId, repositoryId: RepositoryId): PointId[] {
		const mine = this.#made.filter((made) => made.guestId === guestId && made.repositoryId === repositoryId);
		return mine.map(({ pointId }) => pointId);
	}

	/** A damaged journal is put aside for a person to look at. Its session is abandoned by a collection, its bitmap by the next run. */
	async #read(pointId: PointId): Promise<RunEntry[]> {
		try {
			return await this.#journals.read(pointId);
		} catch (thrown) {
			this.#log.error({ pointId, err: asSternaError(thrown) }, "journal of a backup is damaged and put aside");
			await this.#journals.putAside(pointId);
			return [];
		}
	}

	#publish(report: BackupReport): void {
		if (this.#life.signal.aborted) return;
		// Whoever hears of an end begins the next thing with the guest: told when the run has let go of it.
		const isHeld = this.#running.get(report.guestId)?.run.facts.pointId === report.pointId;
		if (isHeld && endedTaskStates.includes(report.state)) return;
		this.#reports.delete(report.pointId);
		this.#reports.set(report.pointId, report);
		this.#context.announce.backupChanged(report);
	}

	#forgetOld(): void {
		const ended = [...this.#reports.values()].filter(({ state }) => endedTaskStates.includes(state));
		const oldestFirst = ended.sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
		for (const { pointId } of oldestFirst.slice(0, Math.max(0, ended.length - rememberedRuns))) {
			this.#reports.delete(pointId);
		}
	}

	/** Best effort: a journal that cannot be removed now is tried again after the next run. */
	async #removeExpired(): Promise<void> {
		for (const pointId of expiredJournals(this.#endedAtMs, this.#clock.now())) {
			try {
				await this.#journals.remove(pointId);
				this.#endedAtMs.delete(pointId);
			} catch (thrown) {
				this.#log.warn({ pointId, err: asSternaError(thrown) }, "journal of an old backup could not be removed");
			}
		}
	}
}
