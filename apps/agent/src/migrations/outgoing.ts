import { type JournalEntry, type MoveFacts, owesDiscard } from "@sterna/migration/journal";
import { Move } from "@sterna/migration/move";
import type { OwnershipRecord } from "@sterna/migration/ownership-record";
import type { Clock } from "@sterna/migration/ports";
import { migrationReport } from "@sterna/migration/progress";
import { resumeMigration } from "@sterna/migration/resume";
import { runMigration, settleDiscard } from "@sterna/migration/run";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { MigrationId } from "@sterna/shared/ids";
import { endedMigrationStates, MigrationOptions, type MigrationReport } from "@sterna/shared/migration";
import type { Input, ParsedInput } from "@sterna/shared/protocol/commands";
import type { Logger } from "pino";
import type { AgentContext } from "../context.ts";
import type { JournalFiles } from "./journal-file.ts";
import { expiredJournals } from "./journal-retention.ts";
import type { Life } from "./life.ts";
import type { Observe } from "./observe.ts";
import { refuseLatePermit } from "./permit.ts";
import { describeGuest, refuseLeaving } from "./plan.ts";
import { recordPort, sourcePort, targetPort } from "./source-ports.ts";

/** Ended moves that are still told; their journals stay on disk for longer (`journal-retention.ts`). */
const rememberedMoves = 50;

interface Running {
	move: Move;
	cancel: AbortController;
	/** Fulfilled when the move has begun and its journal says so; rejected when it was refused. */
	begun: Promise<void>;
	closeStreams(): Promise<void>;
}

/** The moves away from this host. */
export class OutgoingMoves {
	readonly #context: AgentContext;
	readonly #journals: JournalFiles;
	readonly #life: Life;
	readonly #observe: Observe;
	readonly #clock: Clock;
	readonly #log: Logger;
	readonly #running = new Map<MigrationId, Running>();
	readonly #reports = new Map<MigrationId, MigrationReport>();
	/** When the moves ended whose journals are on disk and owe nothing any more. */
	readonly #endedAtMs = new Map<MigrationId, number>();

	constructor(options: { context: AgentContext; journals: JournalFiles; life: Life; observe: Observe }) {
		this.#context = options.context;
		this.#journals = options.life.bound(options.journals);
		this.#life = options.life;
		this.#observe = options.observe;
		this.#log = options.context.log.child({ part: "migrations", role: "source" });
		this.#clock = {
			now: () => this.#context.clock.now(),
			after: (delayMs, action) => {
				const timer = setTimeout(() => this.#life.signal.aborted || action(), delayMs);
				return () => clearTimeout(timer);
			},
		};
	}

	/** Those under way and the latest that ended. */
	reports(): MigrationReport[] {
		return [...this.#reports.values()];
	}

	/**
	 * Begins a move; fulfilled when its journal has it. The same permit again: no change.
	 * @throws {SternaError} `forbidden`, `invalid`, `not_found`, `wrong_state`, `conflict`: nothing has changed then.
	 */
	async start({ permit: signed, target, options }: ParsedInput<"migration.start">): Promise<MigrationReport> {
		const { hostId, queue, holds, clock } = this.#context;
		const permit = this.#context.verifyPermit(signed);
		const { migrationId, guestId, epoch } = permit;
		if (permit.sourceHostId !== hostId) {
			throw new SternaError("forbidden", "the permit names another host as the guest's source");
		}
		if (permit.targetHostId !== target.hostId) {
			throw new SternaError("invalid", "the permit and the address name different targets");
		}
		if (!this.#reports.has(migrationId)) await holds.makeWay(guestId);
		return queue.run(guestId, async () => {
			const known = this.#reports.get(migrationId);
			if (known) return known;
			refuseLatePermit(permit, clock.now());
			const leaving = await describeGuest(this.#context, guestId);
			const { incoming, startedAt } = leaving;
			holds.refuseIfHeld(guestId, incoming.spec.name, "migrate");
			const refusal = refuseLeaving(leaving, target);
			if (refusal) throw new SternaError(refusal.code, refusal.message, refusal.cure ? { cure: refusal.cure } : {});
			const facts: MoveFacts = {
				migrationId,
				guestId,
				guestName: incoming.spec.name,
				epoch,
				sourceHostId: hostId,
				target,
				permit: signed,
				options,
				startedAt: clock.now(),
			};
			const running = this.#make(facts, { permit: signed, guest: incoming, startedAt });
			this.#launch(running, runMigration(running.move));
			await running.begun;
			return running.move.report();
		});
	}

	/**
	 * Begins to undo a move; its end comes as a report. Cancelled already: no change.
	 * @throws {SternaError} `not_found`; `wrong_state` when it has ended otherwise or the guest is handed over already.
	 */
	async cancel(migrationId: MigrationId): Promise<MigrationReport> {
		const running = this.#running.get(migrationId);
		const report = this.#reports.get(migrationId);
		if (!report) throw new SternaError("not_found", `this host is not the source of a migration ${migrationId}`);
		if (!running) {
			if (report.state === "cancelled") return report;
			throw new SternaError("wrong_state", `the migration is ${report.state}; there is nothing to cancel`);
		}
		const record = await this.#context.store.read(report.guestId);
		if (record?.role === "released" && record.migrationId === migrationId) {
			throw new SternaError("wrong_state", "the guest belongs to the target already and can only go forward");
		}
		running.cancel.abort(new SternaError("cancelled", "the migration was cancelled"));
		return running.move.report();
	}

	/** Takes up what a former life of the agent left: before the hand-over it is undone, after it goes forward. */
	async resumeAll(): Promise<void> {
		const left = new Map<MigrationId, OwnershipRecord>();
		for (const { record } of this.#context.store.list()) {
			if (record.role === "owner" && record.outgoing) left.set(record.outgoing.migrationId, record);
			if (record.role === "released") left.set(record.migrationId, record);
		}
		for (const migrationId of await this.#journals.list()) {
			const journal = await this.#read(migrationId);
			const [opening] = journal;
			if (opening?.type !== "opened") continue;
			left.delete(migrationId);
			this.#resume(opening.move, journal);
		}
		for (const record of left.values()) {
			const facts = this.#factsOf(record);
			if (!facts) continue;
			this.#log.error({ migrationId: facts.migrationId }, "journal of a migration is missing; its record decides");
			this.#resume(facts, await this.#inventJournal(facts));
		}
		this.#forgetOld();
		await this.#removeExpired();
	}

	/** Cuts the streams of moves under way; the next life of the agent takes the moves up. */
	async close(): Promise<void> {
		await Promise.all([...this.#running.values()].map(({ closeStreams }) => closeStreams()));
	}

	/** A damaged journal is put aside for a person to look at; the ownership record alone decides then. */
	async #read(migrationId: MigrationId): Promise<JournalEntry[]> {
		try {
			return await this.#journals.read(migrationId);
		} catch (thrown) {
			this.#log.error({ migrationId, err: asSternaError(thrown) }, "journal of a migration is damaged and put aside");
			await this.#journals.putAside(migrationId);
			return [];
		}
	}

	#resume(facts: MoveFacts, journal: JournalEntry[]): void {
		const { migrationId } = facts;
		const hasEnded = journal.some(({ type }) => type === "ended");
		if (hasEnded && !owesDiscard(journal)) {
			this.#endedAtMs.set(migrationId, journal.at(-1)?.at ?? 0);
			const live = { disk: null, memory: null, inDoubt: false };
			this.#reports.set(migrationId, migrationReport(journal, live, -1, this.#clock.now()));
			return;
		}
		this.#log.info({ migrationId, guestId: facts.guestId }, "migration resumed");
		const running = this.#make(facts, null, journal);
		running.move.remark("the agent of the source was started again");
		this.#launch(running, resumeMigration(running.move));
	}

	#make(facts: MoveFacts, request: Input<"incoming.prepare"> | null, journal: JournalEntry[] = []): Running {
		const context = this.#context;
		const cancel = new AbortController();
		const begun = Promise.withResolvers<void>();
		const source = sourcePort(context, facts, this.#observe);
		const move = new Move({
			facts,
			cancel: cancel.signal,
			stop: this.#life.signal,
			journal,
			ports: {
				source: this.#life.bound(source),
				target: this.#life.bound(targetPort(context, facts, request, this.#observe)),
				records: this.#life.bound(recordPort(context)),
				journal: {
					read: (migrationId) => this.#journals.read(migrationId),
					append: async (entries) => {
						await this.#journals.append(facts.migrationId, entries);
						if (entries.some(({ type }) => type === "phaseBegan")) begun.resolve();
					},
				},
				clock: this.#clock,
				publish: (report) => this.#publish(report),
			},
		});
		return { move, cancel, begun: begun.promise, closeStreams: () => source.closeStreams() };
	}

	#launch(running: Running, outcome: Promise<MigrationReport>): void {
		const { migrationId, guestId } = running.move.facts;
		const { move } = running;
		this.#running.set(migrationId, running);
		const settle = async () => {
			try {
				const { state, error } = await outcome;
				this.#log.info({ migrationId, guestId, state, err: error ?? undefined }, "migration ended");
				this.#running.delete(migrationId);
				if (state === "completed") await this.#bury(running);
				this.#forgetOld();
			} finally {
				this.#running.delete(migrationId);
			}
			await settleDiscard(move);
			this.#endedAtMs.set(migrationId, this.#clock.now());
			await this.#removeExpired();
		};
		const settled = settle();
		// A move that is refused at its beginning has no phase; its refusal goes to the caller.
		running.begun = Promise.race([running.begun, outcome.then(() => {})]);
		running.begun.catch(() => {});
		this.#life.background(settled, (thrown) =>
			this.#log.error({ migrationId, guestId, err: asSternaError(thrown) }, "migration stopped"),
		);
	}

	/** Only the epoch is remembered, unless the guest is on its way back already. */
	async #bury({ move }: Running): Promise<void> {
		const { store, queue, announce } = this.#context;
		const { guestId } = move.facts;
		await queue.run(guestId, async () => {
			if (store.get(guestId)?.record.role === "none") await store.bury(guestId);
		});
		announce.guestChanged(guestId);
	}

	#publish(report: MigrationReport): void {
		if (this.#life.signal.aborted) return;
		this.#reports.delete(report.migrationId);
		this.#reports.set(report.migrationId, report);
		this.#context.announce.migrationChanged(report);
	}

	#forgetOld(): void {
		const ended = [...this.#reports.values()].filter(({ state }) => endedMigrationStates.includes(state));
		const oldestFirst = ended.sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
		for (const { migrationId } of oldestFirst.slice(0, Math.max(0, ended.length - rememberedMoves))) {
			this.#reports.delete(migrationId);
		}
	}

	/** Best effort: a journal that cannot be removed now is tried again after the next move. */
	async #removeExpired(): Promise<void> {
		for (const migrationId of expiredJournals(this.#endedAtMs, this.#clock.now())) {
			try {
				await this.#journals.remove(migrationId);
				this.#endedAtMs.delete(migrationId);
			} catch (thrown) {
				this.#log.warn({ migrationId, err: asSternaError(thrown) }, "journal of an old migration could not be removed");
			}
		}
	}

	/** Enough of a move to end it by its record alone. */
	#factsOf(record: OwnershipRecord): MoveFacts | null {
		const move = record.role === "released" ? record : record.role === "owner" ? record.outgoing : null;
		if (!move) return null;
		const { guestId } = record;
		return {
			migrationId: move.migrationId,
			guestId,
			guestName: this.#context.store.get(guestId)?.spec?.name ?? guestId,
			epoch: move.epoch,
			sourceHostId: this.#context.hostId,
			target: move.target,
			permit: "permit" in move ? move.permit : null,
			options: MigrationOptions.parse({}),
			startedAt: this.#clock.now(),
		};
	}

	/** As if every phase before the hand-over had begun: undoing what never was does no harm. */
	async #inventJournal(facts: MoveFacts): Promise<JournalEntry[]> {
		const at = facts.startedAt;
		const begun = ["prepareTarget", "copyDisks", "copyMemory", "switchOver"] as const;
		const journal: JournalEntry[] = [
			{ type: "opened", at, move: facts },
			{ type: "note", at, text: "the journal was lost; the ownership record decides" },
			...begun.map((phase) => ({ type: "phaseBegan", at, phase }) as const),
		];
		await this.#journals.append(facts.migrationId, journal);
		return journal;
	}
}
