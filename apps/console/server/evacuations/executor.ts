import {
	beginEvacuation,
	type Evacuation,
	type EvacuationRow,
	recordOutcome,
	stepEvacuation,
} from "@sterna/migration/evacuation";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { EvacuationId, type HostId, newId } from "@sterna/shared/ids";
import { and, asc, eq } from "drizzle-orm";
import type { Core } from "../core.ts";
import type { Transaction } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import type { EvacuationEntry, MoveEntry } from "../inventory/inventory.ts";
import type { MoveDriver } from "../migrations/driver.ts";
import type { EvacuationItemState } from "../views-migrations.ts";
import { sightOf } from "./sight.ts";

type ItemRow = typeof tables.evacuationItems.$inferSelect;

/** Moves of an evacuation are not held back by guests that write fast: leaving late is worse than a longer pause. */
const moveOptions = { maxDowntimeMs: 2000, autoConverge: true };

/** What blocks the last guests must stand this long before the evacuation ends without them. */
const blockedGraceMs = 15_000;

/**
 * Empties hosts. What to do next is decided by `stepEvacuation`, a pure function of the rows; this class carries it out
 * and keeps the rows in the database, so that a killed console goes on where it was.
 */
export class Evacuations {
	readonly #core: Core;
	readonly #driver: MoveDriver;
	readonly #queue = new Map<EvacuationId, Promise<void>>();
	/** Since when nothing moves and somebody is blocked. */
	readonly #blockedSince = new Map<EvacuationId, number>();

	constructor(core: Core, driver: MoveDriver) {
		this.#core = core;
		this.#driver = driver;
	}

	/**
	 * Begins to empty the host, or returns the evacuation that does so already. The first moves start at once, but are not
	 * waited for: a slow agent must not hold up the evacuation of another host.
	 * @throws {SternaError} `not_found`; `wrong_state` when the host is revoked, or is not in the mode that was asked for.
	 */
	async begin(request: {
		hostId: HostId;
		reason: string;
		requestedBy: string;
		evidence?: unknown;
		/** Only a host that is in this mode; in any where it is not given. */
		onlyIn?: "maintenance";
		/** Written together with the beginning, or not at all. */
		alongside?: (tx: Transaction) => Promise<unknown>;
	}): Promise<EvacuationId> {
		const { db, inventory, events, changes, now } = this.#core;
		const host = inventory.host(request.hostId);
		if (host.revokedAt !== null) throw new SternaError("wrong_state", `${host.name} is revoked and cannot be reached`);
		const running = this.of(host.id);
		if (running) return running.id;
		const id = newId(EvacuationId);
		const row = await db.transaction(async (tx) => {
			const [inserted] = await tx
				.insert(tables.evacuations)
				.values({
					id,
					hostId: host.id,
					state: "running",
					reason: request.reason,
					requestedBy: request.requestedBy,
					startedAt: now(),
				})
				.onConflictDoNothing()
				.returning();
			if (!inserted) throw new SternaError("conflict", `${host.name} is being emptied already`);
			await request.alongside?.(tx);
			const isAsked = request.onlyIn && eq(tables.hosts.mode, request.onlyIn);
			const changed = await tx
				.update(tables.hosts)
				.set({ mode: "evacuating" })
				.where(and(eq(tables.hosts.id, host.id), isAsked))
				.returning({ id: tables.hosts.id });
			if (changed.length === 0)
				throw new SternaError("wrong_state", `${host.name} is not in ${request.onlyIn} any more`);
			await events.append(
				{
					kind: "evacuation.started",
					actor: request.requestedBy,
					objects: [
						{ type: "host", id: host.id, name: host.name },
						{ type: "evacuation", id, name: host.name },
					],
					sentence: `The evacuation of ${host.name} began`,
					why: request.reason,
					evidence: request.evidence,
				},
				tx,
			);
			return inserted;
		});
		host.mode = "evacuating";
		inventory.evacuations.set(id, row);
		changes.touch("overview", "hosts", "evacuations", `host:${host.id}`);
		void this.advance(id);
		return id;
	}

	/** The evacuation of the host that has not ended. */
	of(hostId: HostId): EvacuationEntry | undefined {
		return [...this.#core.inventory.evacuations.values()].find((evacuation) => evacuation.hostId === hostId);
	}

	/** Starts no further move and calls back those before their commit point. */
	async cancel(id: EvacuationId, actor: string): Promise<void> {
		const { db, inventory, events } = this.#core;
		const evacuation = inventory.evacuations.get(id);
		if (!evacuation) throw new SternaError("wrong_state", "this evacuation has ended");
		evacuation.cancelRequested = true;
		await db.update(tables.evacuations).set({ cancelRequested: true }).where(eq(tables.evacuations.id, id));
		await events.append({
			kind: "evacuation.cancelRequested",
			actor,
			objects: [{ type: "host", id: evacuation.hostId, name: inventory.hostName(evacuation.hostId) }],
			sentence: `${actor} cancelled the evacuation of ${inventory.hostName(evacuation.hostId)}`,
		});
		for (const move of inventory.moves.values()) {
			if (move.evacuationId !== id || move.endedAt !== null) continue;
			await this.#driver.cancel(move).catch((thrown) => {
				this.#core.log.info(
					{ err: asSternaError(thrown), migrationId: move.id },
					"move of a cancelled evacuation goes on",
				);
			});
		}
		await this.advance(id);
	}

	/** Takes the end of a move into account and goes on. */
	async moveEnded(move: MoveEntry): Promise<void> {
		if (move.evacuationId) await this.advance(move.evacuationId);
	}

	/** Every evacuation that rests takes its next step: called every few seconds. */
	tick(): void {
		for (const id of this.#core.inventory.evacuations.keys()) if (!this.#queue.has(id)) void this.advance(id);
	}

	/** One step; steps of one evacuation come one after the other. */
	advance(id: EvacuationId): Promise<void> {
		const next = (this.#queue.get(id) ?? Promise.resolve())
			.then(() => this.#step(id))
			.catch((err) => {
				this.#core.log.error({ err, evacuationId: id }, "evacuation step failed, trying again");
			})
			.finally(() => {
				if (this.#queue.get(id) === next) this.#queue.delete(id);
			});
		this.#queue.set(id, next);
		return next;
	}

	async #step(id: EvacuationId): Promise<void> {
		const { inventory, now } = this.#core;
		const entry = inventory.evacuations.get(id);
		if (!entry) return;
		const items = await this.#items(id);
		const before = this.#evacuationOf(entry, items);
		const recorded = this.#recordOutcomes(before, items);
		if (entry.cancelRequested) return this.#stepCancelled(entry, recorded, items);
		const host = inventory.host(entry.hostId);
		if (host.revokedAt !== null) return this.#stepRevoked(entry, recorded, items);
		// While nobody hears the host, nothing can be started, and what its guests do is not known.
		if (!host.connected || !host.lastReport) return this.#store(entry, recorded, items);
		const step = stepEvacuation(recorded, sightOf(entry.hostId, inventory, now()));
		// First the rows, then the deeds: after a crash a row that says "moving" without a move is taken up again.
		await this.#store(entry, step.evacuation, items);
		for (const { guestId, targetHostId } of step.start) {
			try {
				const move = await this.#driver.begin({
					guestId,
					targetHostId,
					options: moveOptions,
					requestedBy: `evacuation of ${host.name}`,
					evacuationId: id,
					why: entry.reason,
				});
				await this.#core.db
					.update(tables.evacuationItems)
					.set({ migrationId: move.id })
					.where(and(eq(tables.evacuationItems.evacuationId, id), eq(tables.evacuationItems.guestId, guestId)));
			} catch (thrown) {
				const { message, cure = null } = asSternaError(thrown);
				const failed = recordOutcome(this.#evacuationOf(entry, await this.#items(id)), guestId, {
					moved: false,
					reason: message,
					cure,
				});
				await this.#store(entry, failed, await this.#items(id));
			}
		}
		if (!step.finished) this.#blockedSince.delete(id);
		else await this.#finish(entry, step.empty, step.evacuation);
	}

	async #stepCancelled(entry: EvacuationEntry, evacuation: Evacuation, items: ItemRow[]): Promise<void> {
		const rows = evacuation.rows.map((row) => (row.state === "pending" ? { ...row, state: "blocked" as const } : row));
		await this.#store(entry, { ...evacuation, rows }, items, "cancelled");
		if (!rows.some((row) => row.state === "moving")) await this.#end(entry, "cancelled", "normal");
	}

	/** Nothing can be asked of a revoked host any more; its place in the queue of evacuations is needed by others. */
	async #stepRevoked(entry: EvacuationEntry, evacuation: Evacuation, items: ItemRow[]): Promise<void> {
		const reason = "its host was revoked and cannot be reached";
		const rows = evacuation.rows.map((row) =>
			row.state === "pending" || row.state === "moving"
				? { ...row, state: "blocked" as const, reason, cure: null }
				: row,
		);
		await this.#store(entry, { ...evacuation, rows }, items);
		await this.#end(entry, "incomplete", "maintenance");
	}

	/** What has become of the rows that were moving: their migrations know. */
	#recordOutcomes(evacuation: Evacuation, items: ItemRow[]): Evacuation {
		const { inventory } = this.#core;
		let next = evacuation;
		for (const row of evacuation.rows) {
			if (row.state !== "moving") continue;
			const item = items.find((candidate) => candidate.guestId === row.guestId);
			const move = this.#moveOf(evacuation, row, item);
			if (move && move.endedAt === null) continue;
			if (inventory.guests.get(row.guestId)?.grant.ownerHostId !== evacuation.hostId || move?.state === "completed") {
				next = recordOutcome(next, row.guestId, { moved: true });
			} else {
				const reason = move?.error?.message ?? "its move was not begun";
				next = recordOutcome(next, row.guestId, { moved: false, reason, cure: move?.error?.cure ?? null });
			}
		}
		return next;
	}

	/** The row's latest move, also one that a killed console began without noting it in the row. */
	#moveOf({ hostId }: Evacuation, row: EvacuationRow, item: ItemRow | undefined): MoveEntry | undefined {
		const { inventory } = this.#core;
		const noted = item?.migrationId ? inventory.moves.get(item.migrationId) : undefined;
		if (noted && noted.endedAt === null) return noted;
		const latest = inventory
			.movesOf(row.guestId)
			.filter((move) => move.evacuationId === item?.evacuationId)
			.at(-1);
		return latest && latest.sourceHostId === hostId ? latest : noted;
	}

	async #finish(entry: EvacuationEntry, empty: boolean, { rows }: Evacuation): Promise<void> {
		const blocked = rows.some((row) => row.state === "blocked");
		const left = blocked || rows.some((row) => row.state === "failed");
		if (!blocked) return this.#end(entry, empty && !left ? "completed" : "incomplete", "maintenance");
		// A target may just be reconnecting, as after a restart of this console: what blocks must stand for a while.
		const since = this.#blockedSince.get(entry.id) ?? this.#core.now();
		this.#blockedSince.set(entry.id, since);
		if (this.#core.now() - since >= blockedGraceMs) await this.#end(entry, "incomplete", "maintenance");
	}

	async #end(
		entry: EvacuationEntry,
		state: "completed" | "incomplete" | "cancelled",
		mode: "maintenance" | "normal",
	): Promise<void> {
		const { db, inventory, events, changes, now } = this.#core;
		const host = inventory.host(entry.hostId);
		const endedAt = now();
		const items = await this.#items(entry.id);
		const moved = items.filter((item) => item.state === "moved").length;
		const left = items.filter((item) => item.state === "blocked" || item.state === "failed");
		const pauses = items.flatMap((item) =>
			item.measuredDowntimeMs === null ? [] : [Math.round(item.measuredDowntimeMs)],
		);
		await db.transaction(async (tx) => {
			await tx.update(tables.evacuations).set({ state, endedAt }).where(eq(tables.evacuations.id, entry.id));
			await tx.update(tables.hosts).set({ mode }).where(eq(tables.hosts.id, host.id));
			await events.append(
				{
					kind: `evacuation.${state}`,
					actor: entry.requestedBy,
					objects: [
						{ type: "host", id: host.id, name: host.name },
						{ type: "evacuation", id: entry.id, name: host.name },
					],
					sentence:
						state === "completed"
							? `${host.name} is empty: ${moved} ${moved === 1 ? "guest" : "guests"} left in ${((endedAt - entry.startedAt) / 1000).toFixed(1)} s`
							: state === "cancelled"
								? `The evacuation of ${host.name} was cancelled after ${moved} of ${items.length} guests`
								: `${left.length} ${left.length === 1 ? "guest" : "guests"} could not leave ${host.name}`,
					why:
						state === "incomplete" ? left.map((item) => `${item.guestName}: ${item.reason}`).join("; ") : entry.reason,
					evidence: { measuredDowntimeMs: pauses },
				},
				tx,
			);
		});
		host.mode = mode;
		inventory.evacuations.delete(entry.id);
		this.#blockedSince.delete(entry.id);
		changes.touch("overview", "hosts", "evacuations", `host:${host.id}`, `evacuation:${entry.id}`);
	}

	#evacuationOf(entry: EvacuationEntry, items: ItemRow[]): Evacuation {
		const { inventory } = this.#core;
		const host = { hostId: entry.hostId, hostName: inventory.hostName(entry.hostId) };
		const rows = items.map((item): EvacuationRow => {
			const { guestId, guestName: name, targetHostId, attempts, triedHostIds, reason, cure } = item;
			return { guestId, name, targetHostId, attempts, triedHostIds, reason, cure, state: plannerState(item.state) };
		});
		return { ...beginEvacuation(host, Number.parseInt(entry.id.slice(0, 8), 16)), rows };
	}

	#items(id: EvacuationId): Promise<ItemRow[]> {
		return this.#core.db
			.select()
			.from(tables.evacuationItems)
			.where(eq(tables.evacuationItems.evacuationId, id))
			.orderBy(asc(tables.evacuationItems.position));
	}

	/** Writes the rows that changed. `blockedAs`: what a blocked row is called after a cancel. */
	async #store(
		entry: EvacuationEntry,
		{ rows }: Evacuation,
		items: readonly ItemRow[],
		blockedAs: EvacuationItemState = "blocked",
	): Promise<void> {
		const { db, inventory, changes } = this.#core;
		for (const [position, row] of rows.entries()) {
			const former = items.find((item) => item.guestId === row.guestId);
			const state = row.state === "blocked" ? blockedAs : row.state === "pending" ? "waiting" : row.state;
			const move = former?.migrationId ? inventory.moves.get(former.migrationId) : undefined;
			const values = {
				state,
				targetHostId: row.targetHostId,
				attempts: row.attempts,
				triedHostIds: [...row.triedHostIds],
				reason: row.reason,
				cure: row.cure,
				measuredDowntimeMs: move?.report?.measuredDowntimeMs ?? former?.measuredDowntimeMs ?? null,
			};
			if (former && !differs(former, values)) continue;
			await db
				.insert(tables.evacuationItems)
				.values({ evacuationId: entry.id, guestId: row.guestId, guestName: row.name, position, ...values })
				.onConflictDoUpdate({
					target: [tables.evacuationItems.evacuationId, tables.evacuationItems.guestId],
					set: values,
				});
		}
		changes.touch("overview", "evacuations", `evacuation:${entry.id}`, `host:${entry.hostId}`);
	}
}

function plannerState(state: EvacuationItemState): EvacuationRow["state"] {
	if (state === "waiting") return "pending";
	return state === "cancelled" ? "blocked" : state;
}

function differs(former: ItemRow, values: Partial<ItemRow>): boolean {
	return (Object.keys(values) as (keyof ItemRow)[]).some(
		(key) => JSON.stringify(former[key]) !== JSON.stringify(values[key]),
	);
}
