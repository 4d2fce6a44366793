import { lookForDue } from "@sterna/backup/due";
import { endedTaskStates, type UpkeepKind, type UpkeepReport } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type HostId, newId, type RepositoryId, UpkeepId } from "@sterna/shared/ids";
import { and, desc, eq, gt, isNull } from "drizzle-orm";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { isUnheard } from "../guests/existence.ts";
import { whyNotWaitedFor } from "../inventory/never-back.ts";
import type { Catalogue } from "./catalogue.ts";
import { mergeDamages, tellsAll } from "./damages.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import type { Repositories, RepositoryEntry } from "./repositories.ts";
import { TaskReports } from "./task-reports.ts";

export type UpkeepEntry = typeof tables.upkeeps.$inferSelect;

const startTimeoutMs = 30_000;
/** A scrub that could not begin is begun later, within a day. */
const scrubWindowMs = 24 * 3_600_000;
const collectEveryMs = 24 * 3_600_000;
const canaryEveryMs = 3_600_000;

/** The upkeep of repositories: what is read again, freed, and tried to be deleted, when, by whom. */
export class Upkeep {
	readonly #parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue };
	readonly #open = new Map<UpkeepId, UpkeepEntry>();
	readonly #reports = new TaskReports(this.#open);
	/** When a round of a kind last began, also those that ended. */
	readonly #latest = new Map<string, number>();

	constructor(parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue }) {
		this.#parts = parts;
	}

	async load(): Promise<void> {
		const { db } = this.#parts.core;
		for (const row of await db.select().from(tables.upkeeps).where(isNull(tables.upkeeps.endedAt)))
			this.#open.set(row.id, row);
		const latest = await db
			.selectDistinctOn([tables.upkeeps.repositoryId, tables.upkeeps.kind])
			.from(tables.upkeeps)
			.orderBy(tables.upkeeps.repositoryId, tables.upkeeps.kind, desc(tables.upkeeps.startedAt));
		for (const row of latest) this.#latest.set(`${row.repositoryId} ${row.kind}`, row.startedAt);
	}

	open(repositoryId: RepositoryId): UpkeepEntry[] {
		return [...this.#open.values()].filter((round) => round.repositoryId === repositoryId);
	}

	allOpen(): UpkeepEntry[] {
		return [...this.#open.values()];
	}

	/** One round of looking what is due and what is not to be waited for; agents are not waited for. */
	async tick(): Promise<void> {
		const { core, hub, repositories } = this.#parts;
		for (const entry of repositories.all()) {
			await this.#look(entry).catch((err) =>
				core.log.warn({ err: asSternaError(err), repositoryId: entry.id }, "upkeep not begun"),
			);
		}
		for (const round of this.allOpen()) {
			if (!hub.isConnected(round.hostId)) {
				const because = whyNotWaitedFor(core.inventory.host(round.hostId), core.now());
				if (because) await this.#fail(round, because).catch((err) => this.#log(round, err));
			} else if (!round.acknowledged) void this.#send(round).catch((err) => this.#log(round, err));
		}
	}

	/** @throws {SternaError} `conflict` while one of the kind is under way; `unavailable` when no host gets there. */
	async begin(entry: RepositoryEntry, kind: UpkeepKind, actor: string): Promise<UpkeepEntry> {
		const { core, reach, clock } = this.#parts;
		const hostId = reach.anyHost(entry);
		const [round] = await core.db
			.insert(tables.upkeeps)
			.values({
				...{ id: newId(UpkeepId), repositoryId: entry.id, kind, hostId, state: "running" },
				startedAt: clock.now(),
				requestedBy: actor,
			})
			.returning()
			.catch((thrown) => {
				if (isTaken(thrown)) throw new SternaError("conflict", `a ${kind} of ${entry.name} is under way already`);
				throw thrown;
			});
		if (!round) throw new SternaError("internal", "the upkeep was not recorded");
		this.#open.set(round.id, round);
		this.#latest.set(`${entry.id} ${kind}`, round.startedAt);
		this.#touch(round);
		await this.#send(round);
		return round;
	}

	/** What an agent says of a round. False: it is not its to say. */
	reported(hostId: HostId, report: UpkeepReport): Promise<boolean> {
		return this.#reports.take(hostId, report.upkeepId, report.generation, () => this.#take(hostId, report));
	}

	/** A host is there, and was not given anything yet. */
	connected(hostId: HostId): void {
		this.#reports.connected(hostId);
	}

	/** A host has gone. */
	disconnected(hostId: HostId): void {
		this.#reports.disconnected(hostId);
	}

	async #take(hostId: HostId, report: UpkeepReport): Promise<boolean> {
		const round = this.#open.get(report.upkeepId);
		if (!round) return this.#ofFormer(hostId, report);
		const { repositories, catalogue } = this.#parts;
		const entry = this.#repositoryOf(round);
		if (round.hostId !== hostId || round.kind !== report.kind || round.repositoryId !== report.repositoryId || !entry)
			return false;
		const isNews = report.damages.length > (round.report?.damages.length ?? 0);
		if (isNews) {
			// Told as soon as it is seen: a scrub of terabytes takes its time.
			await repositories.setDamages(entry, mergeDamages(entry.damages, report.damages));
			await catalogue.setDamages(entry, report.damages, { complete: false });
			if ((round.report?.damages.length ?? 0) === 0) await this.#tellDamage(entry, report);
		}
		if (!endedTaskStates.includes(report.state)) {
			await this.#change(round, { acknowledged: true, state: report.state, report });
			return true;
		}
		if (report.kind === "scrub" && report.state === "completed") {
			await repositories.setDamages(entry, report.damages);
			await catalogue.setDamages(entry, report.damages, { complete: tellsAll(report.damages) });
		}
		await this.#end(round, entry, report.state, report.error, report);
		return true;
	}

	/** After a host's snapshot: a round that it does not know any more is over. */
	async settleUnknown(hostId: HostId, known: ReadonlySet<string>): Promise<void> {
		for (const round of this.#reports.lost(hostId, known)) {
			await this.#fail(round, { code: "unavailable", message: "the host knows nothing of it any more" });
		}
	}

	async #look(entry: RepositoryEntry): Promise<void> {
		const { repositories, reach, catalogue, clock, core } = this.#parts;
		const now = clock.now();
		const schedule = {
			cron: entry.scrubCron,
			timeZone: entry.scrubTimeZone,
			seenAt: entry.scrubSeenAt,
			startWithinMs: scrubWindowMs,
		};
		const answer = lookForDue(schedule, now);
		if (answer.missed && answer.dueAt === null) {
			await core.events.append({
				...{ kind: "repository.scrubMissed", actor: "console", severity: "watch" as const },
				objects: [{ type: "repository", id: entry.id, name: entry.name }],
				sentence: `${entry.name} was not scrubbed when it was due`,
				evidence: answer.missed,
			});
		}
		const reached = reach.hostsOf(entry).length > 0;
		if (answer.seenAt !== entry.scrubSeenAt && (answer.dueAt === null || (reached && !this.#isOpen(entry, "scrub")))) {
			await repositories.change(entry, { scrubSeenAt: answer.seenAt });
			if (answer.dueAt !== null) await this.begin(entry, "scrub", "schedule");
		}
		if (!reached) return;
		if (await catalogue.finishRemoving(entry)) core.log.info({ repositoryId: entry.id }, "points pruned");
		if (this.#isOver(entry, "collect", collectEveryMs, now)) await this.begin(entry, "collect", "schedule");
		if (entry.lockDays > 0 && this.#isOver(entry, "canary", canaryEveryMs, now))
			await this.begin(entry, "canary", "schedule");
	}

	#isOpen(entry: RepositoryEntry, kind: UpkeepKind): boolean {
		return this.open(entry.id).some((round) => round.kind === kind);
	}

	/** Whether the last round of the kind is long enough ago; a clock that was set back counts as long. */
	#isOver(entry: RepositoryEntry, kind: UpkeepKind, everyMs: number, now: number): boolean {
		if (this.#isOpen(entry, kind)) return false;
		const latest = this.#latest.get(`${entry.id} ${kind}`) ?? entry.createdAt;
		return now - latest >= everyMs || latest > now + everyMs;
	}

	/** Undefined once the repository was removed, and its rounds with it. */
	#repositoryOf({ repositoryId }: UpkeepEntry): RepositoryEntry | undefined {
		return this.#parts.repositories.all().find(({ id }) => id === repositoryId);
	}

	async #send(round: UpkeepEntry): Promise<void> {
		const { hub, repositories } = this.#parts;
		const entry = this.#repositoryOf(round);
		if (!entry) return;
		try {
			const input = { access: repositories.accessOf(entry), upkeepId: round.id, kind: round.kind };
			const report = await hub.call(round.hostId, "repository.upkeep", input, { timeoutMs: startTimeoutMs });
			await this.#change(round, { acknowledged: true });
			await this.reported(round.hostId, report);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#log(round, error);
			if (!isUnheard(error)) await this.#fail(round, error.toWire());
		}
	}

	/** What was not reported: it fails in its turn. */
	async #fail(round: UpkeepEntry, error: UpkeepEntry["error"]): Promise<void> {
		const entry = this.#repositoryOf(round);
		if (!entry) return;
		await this.#reports.inTurn(round.id, () => this.#end(round, entry, "failed", error, null));
	}

	/** A word about a round that has ended here: no lie, and news when it was a scrub that was given up and went on all the same. */
	async #ofFormer(hostId: HostId, report: UpkeepReport): Promise<boolean> {
		const { db } = this.#parts.core;
		const { upkeeps } = tables;
		const [round] = await db
			.select()
			.from(upkeeps)
			.where(and(eq(upkeeps.id, report.upkeepId), eq(upkeeps.hostId, hostId)));
		if (!round) return endedTaskStates.includes(report.state);
		const entry = this.#repositoryOf(round);
		if (entry && endedAfterAll(round, report)) await this.#takeLate(round, entry, report);
		return true;
	}

	/** What it found is told and kept beside what is known, unless a later scrub has looked again since; it says of no point that it is whole. */
	async #takeLate(round: UpkeepEntry, entry: RepositoryEntry, report: UpkeepReport): Promise<void> {
		const { core, repositories, catalogue } = this.#parts;
		const { upkeeps } = tables;
		const lookedAgain = and(
			...[eq(upkeeps.repositoryId, entry.id), eq(upkeeps.kind, "scrub"), eq(upkeeps.state, "completed")],
			gt(upkeeps.startedAt, round.startedAt),
		);
		if (report.damages.length > 0 && (await core.db.$count(upkeeps, lookedAgain)) === 0) {
			await repositories.setDamages(entry, mergeDamages(entry.damages, report.damages));
			await catalogue.setDamages(entry, report.damages, { complete: false });
			await this.#tellDamage(entry, report);
		}
		await core.events.append({
			...{ kind: "repository.scrubEnded", actor: round.requestedBy },
			objects: [{ type: "repository", id: entry.id, name: entry.name }],
			sentence: `The scrub of ${entry.name} that was given up has ended after all: ${report.result ?? "done"}`.slice(
				0,
				500,
			),
			evidence: { doneBytes: report.doneBytes, damages: report.damages.length },
		});
		// Last: a console that is killed before it is told again.
		await this.#change(round, { state: report.state, error: null, report });
	}

	async #end(
		round: UpkeepEntry,
		entry: RepositoryEntry,
		state: UpkeepEntry["state"],
		error: UpkeepEntry["error"],
		report: UpkeepReport | null,
	): Promise<void> {
		if (!this.#open.has(round.id)) return;
		await this.#change(round, {
			state,
			error,
			endedAt: this.#parts.clock.now(),
			acknowledged: true,
			...(report ? { report } : {}),
		});
		this.#open.delete(round.id);
		const failed = state === "failed";
		if (round.kind === "collect") this.#parts.reach.changed(round.hostId, entry);
		// An hourly canary that found what it should is no news.
		if (round.kind === "canary" && !failed) return;
		const sentence = failed
			? `The ${round.kind} of ${entry.name} failed`
			: `The ${round.kind} of ${entry.name} is done${report?.result ? `: ${report.result}` : ""}`;
		await this.#parts.core.events.append({
			...{
				kind: `repository.${round.kind}${failed ? "Failed" : "Ended"}`,
				actor: round.requestedBy,
				sentence: sentence.slice(0, 500),
			},
			objects: [{ type: "repository", id: entry.id, name: entry.name }],
			why: error?.message ?? null,
			evidence: report && {
				doneBytes: report.doneBytes,
				freedBytes: report.freedBytes,
				damages: report.damages.length,
			},
			severity: failed ? (round.kind === "canary" ? "failing" : "degraded") : null,
		});
	}

	async #tellDamage(entry: RepositoryEntry, report: UpkeepReport): Promise<void> {
		const hit = report.damages.flatMap(({ points }) =>
			points.map(({ guestId: id, guestName: name }) => ({ id, name })),
		);
		const guests = [...new Map(hit.map((guest) => [guest.id, guest])).values()];
		await this.#parts.core.events.append({
			...{ kind: "repository.damaged", actor: "scrub", severity: "failing" as const },
			objects: [
				{ type: "repository", id: entry.id, name: entry.name },
				...guests.slice(0, 20).map(({ id, name }) => ({ type: "guest" as const, id, name })),
			],
			sentence: `${entry.name} is damaged${
				guests.length > 0
					? `: backups of ${guests
							.slice(0, 3)
							.map(({ name }) => name)
							.join(", ")} are hit`
					: "; no recovery point needs the damaged part"
			}`,
			evidence: { damages: report.damages.slice(0, 20) },
		});
	}

	#log(round: UpkeepEntry, err: unknown): void {
		this.#parts.core.log.info({ err: asSternaError(err), upkeepId: round.id }, "upkeep not carried on");
	}

	async #change(round: UpkeepEntry, values: Partial<UpkeepEntry>): Promise<void> {
		await this.#parts.core.db
			.update(tables.upkeeps)
			.set(values)
			.where(and(eq(tables.upkeeps.id, round.id)));
		Object.assign(round, values);
		this.#touch(round);
	}

	#touch({ repositoryId }: UpkeepEntry): void {
		this.#parts.core.changes.touch("repositories", `repository:${repositoryId}`, "overview");
	}
}

/** Whether a scrub that the console gave up, because its host was silent, went on there to its end, and that is news. Pure. */
export function endedAfterAll(
	round: Pick<UpkeepEntry, "kind" | "repositoryId" | "state">,
	report: Pick<UpkeepReport, "kind" | "repositoryId" | "state">,
): boolean {
	const isSame = round.kind === report.kind && round.repositoryId === report.repositoryId;
	return isSame && round.kind === "scrub" && round.state === "failed" && report.state === "completed";
}
