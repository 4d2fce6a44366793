import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { ReaderId } from "@sterna/repository/format/records";
import { endedTaskStates, type RepositoryAccess, type RestoreReport } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { RestoreId } from "@sterna/shared/ids";
import type { Output, ParsedInput } from "@sterna/shared/protocol/commands";
import type { Logger } from "pino";
import type { AgentContext, RestoreService } from "../context.ts";
import { makeFolderDurably } from "../durable-file.ts";
import type { Guests } from "../guests/lifecycle.ts";
import { Journals } from "../journals.ts";
import { expiredJournals } from "../migrations/journal-retention.ts";
import type { Life } from "../migrations/life.ts";
import { KeptAccess } from "../repositories/kept-access.ts";
import { needAccess, type Repositories } from "../repositories/repositories.ts";
import { copyRestore, finishCopy, undoCopy } from "./copy.ts";
import { drill, drillFacts, removeDrill, screenshotPath } from "./drill.ts";
import { givenUp, isGivenUp, markGivenUp } from "./give-up.ts";
import { type RestoreHold, restoreHold } from "./hold.ts";
import { fillGuest, instantRestore, undoInstant } from "./instant.ts";
import { RestoreEntry, type RestoreFacts } from "./journal.ts";
import type { RestoreNeeds } from "./needs.ts";
import { whyOnlyForward } from "./only-forward.ts";
import { refuseOtherDisks } from "./other-disks.ts";
import { RestoreTask } from "./task.ts";

const rememberedRestores = 50;
/** A guest whose restore cannot be undone now, because a disk hangs for example, is tried again after growing pauses. */
const undoPausesMs = { first: 1_000, longest: 60_000 };

type Started = ParsedInput<"restore.start">;

/** The restores and drills of this host. */
export class Restores implements RestoreService {
	readonly #context: AgentContext;
	readonly #repositories: Repositories;
	readonly #guests: Guests;
	readonly #life: Life;
	readonly #observe: (entry: RestoreEntry) => Promise<void>;
	readonly #journals: Journals<RestoreId, RestoreEntry>;
	readonly #access: KeptAccess;
	readonly #newestAccess = new Map<RestoreId, RepositoryAccess>();
	readonly #folder: string;
	readonly #log: Logger;
	readonly #tasks = new Map<RestoreId, RestoreTask>();
	readonly #running = new Map<RestoreId, Promise<void>>();
	readonly #endedAtMs = new Map<RestoreId, number>();

	constructor(options: {
		context: AgentContext;
		repositories: Repositories;
		guests: Guests;
		life: Life;
		observe: (entry: RestoreEntry) => Promise<void>;
	}) {
		const { context } = options;
		this.#context = context;
		this.#repositories = options.repositories;
		this.#guests = options.guests;
		this.#life = options.life;
		this.#observe = options.observe;
		this.#folder = join(context.dataDir, "restores");
		this.#journals = new Journals({ folder: this.#folder, ids: RestoreId, entries: RestoreEntry });
		this.#access = new KeptAccess(this.#folder);
		this.#log = context.log.child({ part: "restores" });
	}

	/**
	 * Begins a restore or a drill; fulfilled when its journal has it. The same id again: no change, but for one whose guest runs
	 * and still lacks data, the access is used from now on.
	 * @throws {SternaError} `wrong_state` over a running guest, `conflict`, `invalid`: nothing has changed then.
	 */
	start(input: Started): Promise<RestoreReport> {
		return this.#context.queue.run(input.spec.id, async () => {
			const known = this.#tasks.get(input.restoreId);
			if (known) {
				if (!known.ended && known.onlyForward) await this.#takeAccess(known, input.access);
				return known.report();
			}
			const facts = input.mode === "drill" ? drillFacts(this.#context, input) : this.#guestFacts(input);
			await this.#access.keep(input.restoreId, input.access);
			const task = this.#make(facts, []);
			await task.note({ type: "opened", restore: facts });
			this.#newestAccess.set(input.restoreId, input.access);
			this.#launch(task, (needs) => this.#begin(needs));
			return task.report();
		});
	}

	/**
	 * Begins to undo a restore; its end comes as a report. Cancelled already: no change.
	 * @throws {SternaError} `not_found`; `wrong_state` when it has ended otherwise or can only go forward.
	 */
	async cancel(restoreId: RestoreId): Promise<RestoreReport> {
		const task = this.#tasks.get(restoreId);
		if (!task) throw new SternaError("not_found", `this host has no restore ${restoreId}`);
		if (task.ended === "cancelled") return task.report();
		if (task.ended) throw new SternaError("wrong_state", `the restore is ${task.ended}; there is nothing to cancel`);
		if (task.onlyForward) {
			throw new SternaError("wrong_state", whyOnlyForward(task));
		}
		task.cancel.abort(new SternaError("cancelled", "the restore was cancelled"));
		return task.report();
	}

	/**
	 * Ends a restore whose guest may have run and does not run now: its volumes stay half filled, nothing is deleted, and nobody
	 * starts it from them. The end comes as a report. Given up already: no change.
	 * @throws {SternaError} `not_found`; `wrong_state` when it can be cancelled, is whole, or its guest has a process.
	 */
	async giveUp(restoreId: RestoreId): Promise<RestoreReport> {
		const task = this.#tasks.get(restoreId);
		if (!task) throw new SternaError("not_found", `this host has no restore ${restoreId}`);
		if (task.has("givenUp")) return task.report();
		if (!isGivenUp(this.#context, task)) await markGivenUp(this.#context, task);
		task.cancel.abort(givenUp(task));
		return task.report();
	}

	async screenshot(restoreId: RestoreId): Promise<Output<"restore.screenshot">> {
		if (!this.#tasks.get(restoreId)?.has("pictured")) {
			throw new SternaError("not_found", `there is no picture of restore ${restoreId}`);
		}
		return { png: (await readFile(screenshotPath(this.#context, restoreId))).toString("base64") };
	}

	reports(): RestoreReport[] {
		return [...this.#tasks.values()].map((task) => task.report());
	}

	/** What an earlier life began: a guest that is being filled is served again, the rest is undone or completed. */
	async resumeAll(): Promise<void> {
		for (const restoreId of await this.#journals.list()) {
			const journal = await this.#read(restoreId);
			const [opening] = journal;
			if (opening?.type !== "opened") continue;
			const task = this.#make(opening.restore, journal);
			if (task.ended) {
				this.#endedAtMs.set(restoreId, task.endedAt ?? 0);
				continue;
			}
			const access = await this.#access.read(restoreId).catch(() => null);
			if (access) this.#newestAccess.set(restoreId, access);
			this.#log.info({ restoreId, guestId: task.facts.guestId }, "an earlier life's restore is taken up");
			task.remark("the agent was started again");
			this.#launch(task, (needs) => this.#resume(needs));
		}
		this.#forgetOld();
	}

	/** Stops serving; guests that are being filled stand until the next life serves them again. */
	async close(): Promise<void> {
		await Promise.all(this.#running.values());
	}

	#begin(needs: RestoreNeeds): Promise<void> {
		switch (needs.task.facts.mode) {
			case "copy":
				return copyRestore(needs);
			case "instant":
				return instantRestore(needs);
			case "drill":
				return drill(needs, (png) => this.#keepPicture(needs.task, png));
		}
	}

	#resume(needs: RestoreNeeds): Promise<void> {
		const { task } = needs;
		const interrupted = new SternaError("unavailable", "the agent was started again while it restored", {
			cure: "begin the restore again",
		});
		if (task.has("undoing") || (isGivenUp(this.#context, task) && !task.has("filled")))
			return Promise.reject(interrupted);
		const { mode } = task.facts;
		if (mode === "copy" && task.has("placing")) return finishCopy(needs);
		if (mode === "instant" && task.mayHaveRun) return fillGuest(needs);
		return Promise.reject(interrupted);
	}

	async #undo(needs: Pick<RestoreNeeds, "context" | "guests" | "task" | "hold">): Promise<void> {
		switch (needs.task.facts.mode) {
			case "copy":
				return undoCopy(needs);
			case "instant":
				return undoInstant(needs);
			case "drill":
				return removeDrill(needs.context, needs.task.facts);
		}
	}

	/** @throws {SternaError} `not_found`, `wrong_state`, `conflict`, `invalid` */
	#guestFacts(input: Started): RestoreFacts {
		const { store, holds, hostId, clock } = this.#context;
		const { restoreId, mode, pointId, spec, epoch, volumes, check, start, access } = input;
		const known = store.get(spec.id);
		const before = known?.spec && known.record.role !== "none" ? known.spec : null;
		holds.refuseIfHeld(spec.id, spec.name, "restore");
		const view = before ? this.#guests.view(spec.id) : null;
		if (view && view.state !== "stopped" && view.state !== "crashed") {
			throw new SternaError(
				"wrong_state",
				`guest ${spec.name} is ${view.state}; nothing is restored over a running guest`,
				{
					cure: "power it off first, or restore to a new guest",
				},
			);
		}
		if (known && epoch <= known.record.highestEpoch) {
			throw new SternaError("conflict", `guest ${spec.name} is here under epoch ${known.record.highestEpoch} already`);
		}
		if (mode === "instant" && !start) {
			throw new SternaError("invalid", "an instant restore starts its guest: it is filled while it runs");
		}
		const wanted = new Set(volumes.map(({ to }) => to));
		if (wanted.size < volumes.length) throw new SternaError("invalid", "a volume cannot be filled from two");
		this.#context.places.volumes(spec);
		if (before) refuseOtherDisks(before, known?.run.lacking ?? null, { spec, brought: wanted });
		const restored = { restoreId, mode, pointId, repositoryId: access.repositoryId, hostId, spec, guestId: spec.id };
		const beforeLacking = before ? (known?.run.lacking ?? null) : null;
		return { ...restored, epoch, volumes, check, start, before, beforeLacking, startedAt: clock.now() };
	}

	#make(facts: RestoreFacts, journal: readonly RestoreEntry[]): RestoreTask {
		const { restoreId } = facts;
		const task = new RestoreTask({
			facts,
			journal,
			append: async (entry) => {
				await this.#journals.append(restoreId, [entry]);
				await this.#observe(entry);
			},
			publish: (report) => {
				if (!this.#life.signal.aborted) this.#context.announce.restoreChanged(report);
			},
			now: () => this.#context.clock.now(),
		});
		this.#tasks.set(restoreId, task);
		return task;
	}

	async #takeAccess(task: RestoreTask, access: RepositoryAccess): Promise<void> {
		const { restoreId } = task.facts;
		// What is opened stays open when it is the same again.
		if (isDeepStrictEqual(this.#newestAccess.get(restoreId), access)) return;
		await this.#access.keep(restoreId, access);
		if (task.ended) return this.#access.forget(restoreId);
		this.#newestAccess.set(restoreId, access);
	}

	#launch(task: RestoreTask, work: (needs: RestoreNeeds) => Promise<void>): void {
		const { restoreId, mode } = task.facts;
		const context = this.#context;
		const signal = AbortSignal.any([task.cancel.signal, this.#life.signal]);
		const hold = restoreHold(context.holds, task.facts);
		if (mode !== "drill") hold.take();
		const run = async () => {
			try {
				const newest = () => needAccess(this.#newestAccess.get(restoreId) ?? null);
				await work({
					...this.#needsBase(),
					task,
					get access() {
						return newest();
					},
					signal,
					hold,
				});
				await task.note({ type: "ended", state: "completed" });
			} catch (thrown) {
				if (this.#life.signal.aborted) return;
				await this.#settle(task, asSternaError(thrown), hold);
			}
			// Not where its undo has not ended: the guest is nobody else's until then.
			hold.letGo();
			void this.#endReading(restoreId);
			this.#newestAccess.delete(restoreId);
			await this.#access.forget(restoreId);
			this.#endedAtMs.set(restoreId, context.clock.now());
			this.#forgetOld();
			await this.#removeExpired();
			const { state, error } = task.report();
			this.#log.info({ restoreId, mode, state, err: error ?? undefined }, "restore ended");
		};
		const running = run().catch((thrown: unknown) =>
			this.#log.error(
				{ restoreId, err: asSternaError(thrown) },
				"restore stopped; the agent's next life goes on with it",
			),
		);
		this.#running.set(restoreId, running);
		void running.then(() => this.#running.delete(restoreId));
	}

	/** Best effort, and nobody waits for it: a hold that stays is found dead by a later collection. */
	async #endReading(restoreId: RestoreId): Promise<void> {
		const access = this.#newestAccess.get(restoreId);
		if (!access) return;
		await this.#repositories
			.use(access, (repository) => repository.endReading(ReaderId.parse(restoreId)))
			.catch((thrown: unknown) => this.#log.info({ restoreId, err: asSternaError(thrown) }, "the point is held on"));
	}

	/** A failure is undone, unless the guest has its volumes already: then it is theirs, and only what followed has failed. */
	async #settle(task: RestoreTask, error: SternaError, hold: RestoreHold): Promise<void> {
		if (isGivenUp(this.#context, task) && !task.has("filled")) {
			if (!task.has("givenUp")) await task.note({ type: "givenUp" });
			await task.undoing(givenUp(task));
			return task.note({ type: "ended", state: "failed" });
		}
		const isThere = task.has("filled") || (task.facts.mode === "copy" && task.has("placing"));
		// A guest that may have run and lacks data is never undone: the next life goes on with it.
		if (task.onlyForward && !isThere) throw error;
		await task.undoing(error);
		if (!isThere) await this.#undoFor(task, hold);
		await task.note({ type: "ended", state: task.wasCancelled ? "cancelled" : "failed" });
	}

	/** Tried for as long as it takes, the guest held meanwhile; when the agent ends, its next life goes on. */
	async #undoFor(task: RestoreTask, hold: RestoreHold): Promise<void> {
		const { signal } = this.#life;
		let told = "";
		for (let pauseMs = undoPausesMs.first; ; pauseMs = Math.min(pauseMs * 2, undoPausesMs.longest)) {
			try {
				return await this.#undo({ ...this.#needsBase(), task, hold });
			} catch (thrown) {
				const err = asSternaError(thrown);
				this.#log.warn({ restoreId: task.facts.restoreId, err }, "a restore is not undone yet");
				if (err.message !== told) task.remark(`what it made could not be removed yet: ${err.message}`);
				told = err.message;
				await delay(pauseMs, undefined, { signal });
			}
		}
	}

	#needsBase() {
		return { context: this.#context, repositories: this.#repositories, guests: this.#guests };
	}

	async #keepPicture(task: RestoreTask, png: Uint8Array): Promise<void> {
		await makeFolderDurably(this.#folder);
		await writeFile(screenshotPath(this.#context, task.facts.restoreId), png, { mode: 0o600 });
	}

	/** A damaged journal is put aside for a person to look at. */
	async #read(restoreId: RestoreId): Promise<RestoreEntry[]> {
		try {
			return await this.#journals.read(restoreId);
		} catch (thrown) {
			this.#log.error({ restoreId, err: asSternaError(thrown) }, "journal of a restore is damaged and put aside");
			await this.#journals.putAside(restoreId);
			return [];
		}
	}

	#forgetOld(): void {
		const ended = [...this.#tasks.values()].filter((task) => endedTaskStates.includes(task.ended ?? "running"));
		const oldestFirst = ended.sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
		for (const { facts } of oldestFirst.slice(0, Math.max(0, ended.length - rememberedRestores))) {
			this.#tasks.delete(facts.restoreId);
		}
	}

	/** Best effort: what cannot be removed now is tried again after the next restore. */
	async #removeExpired(): Promise<void> {
		for (const restoreId of expiredJournals(this.#endedAtMs, this.#context.clock.now())) {
			await this.#journals.remove(restoreId).catch(() => {});
			this.#endedAtMs.delete(restoreId);
		}
	}
}
