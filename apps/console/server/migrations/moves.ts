import { grantMove, ownershipReport, type Settlement, settle } from "@sterna/migration/grants";
import { SternaError } from "@sterna/shared/errors";
import type { EvacuationId, GuestId, HostId } from "@sterna/shared/ids";
import { MigrationId, newId } from "@sterna/shared/ids";
import {
	endedMigrationStates,
	type MigrationOptions,
	type MigrationReport,
	type Refusal,
} from "@sterna/shared/migration";
import { and, eq, isNull } from "drizzle-orm";
import type { Authority } from "../authority/authority.ts";
import type { Core } from "../core.ts";
import type { Transaction } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import { type GuestEntry, grantColumns, grantOf, type MoveEntry } from "../inventory/inventory.ts";
import { reserveMemory } from "../placement/capacity.ts";
import { decideOutcome } from "./outcome.ts";
import { migrationView } from "./present.ts";

/** A move begins within this time or not at all. */
const permitMs = 60_000;

export interface MoveRequest {
	guestId: GuestId;
	targetHostId: HostId;
	options: MigrationOptions;
	requestedBy: string;
	evacuationId: EvacuationId | null;
	why: string | null;
}

/** The console's record of moves: grants them, and settles them by what the agents report. The agents carry them out. */
export class Moves {
	readonly #core: Core;
	readonly #authority: Authority;
	readonly #onEnded: (move: MoveEntry) => void;

	constructor(core: Core, authority: Authority, onEnded: (move: MoveEntry) => void) {
		this.#core = core;
		this.#authority = authority;
		this.#onEnded = onEnded;
	}

	/**
	 * Records the permit: from here on the guest belongs to {source, target} under the next epoch, and the target's memory
	 * is set aside. Nothing is sent yet; `drive` does.
	 * @throws {SternaError} `conflict` when the guest has an unsettled move; `no_capacity`; `not_found`.
	 */
	async grant(request: MoveRequest): Promise<MoveEntry> {
		const { db, inventory, events, now } = this.#core;
		const { guestId, targetHostId } = request;
		const guest = inventory.guest(guestId);
		const migrationId = newId(MigrationId);
		const expiresAt = now() + permitMs;
		const { move, grant } = await db.transaction(async (tx) => {
			const row = await lockedGuest(tx, guestId);
			if (row.existence !== "present") {
				throw new SternaError("wrong_state", `${guest.name} does not move: its creation or deletion is not finished`);
			}
			const verdict = grantMove(grantOf(row), { migrationId, targetHostId, expiresAt });
			if (verdict.verdict === "refuse") {
				throw new SternaError(verdict.code, `${guest.name}: ${verdict.message}`, {
					cure: "wait until it has ended, or cancel it",
				});
			}
			await reserveMemory(tx, inventory.host(targetHostId), row.grantedBytes);
			await tx.update(tables.guests).set(grantColumns(verdict.grant)).where(eq(tables.guests.id, guestId));
			const [inserted] = await tx
				.insert(tables.migrations)
				.values({
					id: migrationId,
					guestId,
					guestName: guest.name,
					sourceHostId: verdict.permit.sourceHostId,
					targetHostId,
					epoch: verdict.permit.epoch,
					permit: this.#authority.signPermit(verdict.permit),
					permitExpiresAt: expiresAt,
					options: request.options,
					state: "running",
					phase: "prepareTarget",
					requestedBy: request.requestedBy,
					evacuationId: request.evacuationId,
					startedAt: now(),
				})
				.returning();
			if (!inserted) throw new SternaError("internal", "the migration was not recorded");
			await events.append(
				{
					kind: "migration.started",
					actor: request.requestedBy,
					objects: this.#objectsOf(inserted),
					sentence: `${guest.name} begins to move from ${inventory.hostName(inserted.sourceHostId)} to ${inventory.hostName(targetHostId)}`,
					why: request.why,
				},
				tx,
			);
			return { move: inserted, grant: verdict.grant };
		});
		guest.grant = grant;
		inventory.putMove(move);
		this.#tell(move);
		return move;
	}

	/** What a host says of the guest may settle its open move. Call it whenever a report of the guest or its move came. */
	async settle(guestId: GuestId): Promise<void> {
		const { inventory } = this.#core;
		const guest = inventory.guests.get(guestId);
		if (!guest) return;
		for (const [hostId, report] of guest.reports) {
			const moves = this.#reportsOf(guest);
			const said = ownershipReport(hostId, report, moves);
			const quick = settle(guest.grant, said, this.#core.now());
			if (quick.contradiction)
				this.#core.log.error({ guestId, contradiction: quick.contradiction }, "two owners claimed");
			// That a move never began is for its source to say when it is asked (the driver does): this report may be older.
			if (!quick.settled || quick.settled === "expired") continue;
			const settled = await this.#core.db.transaction(async (tx) => {
				const row = await lockedGuest(tx, guestId);
				const anew = settle(grantOf(row, guest.grant.permit?.expiresAt), said, this.#core.now());
				await tx.update(tables.guests).set(grantColumns(anew.grant)).where(eq(tables.guests.id, guestId));
				return anew;
			});
			await this.#settled(guest, settled);
		}
	}

	/** The source's word on how far its move is. */
	async reported(report: MigrationReport): Promise<void> {
		const { inventory, db } = this.#core;
		const move = inventory.moves.get(report.migrationId);
		if (!move || move.endedAt !== null) return;
		const before = move.report;
		Object.assign(move, { report, phase: report.phase, acknowledged: true });
		if (!before || before.phase !== report.phase || before.state !== report.state) {
			await db
				.update(tables.migrations)
				.set({ report, phase: report.phase, acknowledged: true })
				.where(eq(tables.migrations.id, move.id));
		}
		await this.settle(move.guestId);
		await this.conclude(move);
	}

	/** Takes the permit back: the source has refused it, at the first and only asking or when it could not begin any more. */
	async refused(move: MoveEntry, refusal: Refusal): Promise<void> {
		const { inventory, db } = this.#core;
		const guest = inventory.guest(move.guestId);
		const grant = await db.transaction(async (tx) => {
			const row = await lockedGuest(tx, move.guestId);
			const current = grantOf(row);
			if (current.permit?.migrationId !== move.id) return null;
			const withdrawn = { ...current, permit: null };
			await tx.update(tables.guests).set(grantColumns(withdrawn)).where(eq(tables.guests.id, move.guestId));
			return withdrawn;
		});
		if (grant) guest.grant = grant;
		await this.#end(move, "failed", refusal);
	}

	async requestCancel(move: MoveEntry): Promise<void> {
		move.cancelRequested = true;
		await this.#core.db
			.update(tables.migrations)
			.set({ cancelRequested: true })
			.where(eq(tables.migrations.id, move.id));
		this.#tell(move);
	}

	async acknowledged(move: MoveEntry): Promise<void> {
		move.acknowledged = true;
		await this.#core.db.update(tables.migrations).set({ acknowledged: true }).where(eq(tables.migrations.id, move.id));
	}

	/** Ends the move's row when both its grant and its source have come to an end; shows how far it is otherwise. */
	async conclude(move: MoveEntry): Promise<void> {
		if (move.endedAt !== null) return;
		const guest = this.#core.inventory.guests.get(move.guestId);
		const outcome = decideOutcome(move, guest?.grant ?? null);
		if (endedMigrationStates.includes(outcome)) return this.#end(move, outcome, move.report?.error ?? null);
		if (outcome !== move.state) {
			move.state = outcome;
			await this.#core.db.update(tables.migrations).set({ state: outcome }).where(eq(tables.migrations.id, move.id));
		}
		this.#tell(move);
	}

	/** Ends a row whose source cannot say any more how it ended, though its grant is settled. */
	async closeUnheard(move: MoveEntry): Promise<void> {
		const guest = this.#core.inventory.guests.get(move.guestId);
		const arrived =
			guest !== undefined && guest.grant.ownerHostId === move.targetHostId && guest.grant.ownerEpoch >= move.epoch;
		const error: Refusal | null = arrived
			? null
			: {
					code: "unavailable",
					message: "the move never began, or nobody could say how it ended; the guest is on its source",
				};
		await this.#end(move, arrived ? "completed" : "failed", error);
	}

	async #settled(guest: GuestEntry, { grant, settled }: Settlement): Promise<void> {
		const { inventory, log, changes } = this.#core;
		const before = guest.grant;
		guest.grant = grant;
		log.info({ guestId: guest.id, settled, ownerHostId: grant.ownerHostId, epoch: grant.ownerEpoch }, "grant settled");
		const moveId = before.permit?.migrationId;
		const move = moveId && inventory.moves.get(moveId);
		if (move) await this.conclude(move);
		changes.touch("overview", "guests", "hosts", `guest:${guest.id}`);
	}

	async #end(
		move: MoveEntry,
		state: "completed" | "failed" | "cancelled" | MoveEntry["state"],
		error: Refusal | null,
	): Promise<void> {
		const { db, inventory, events, now } = this.#core;
		const endedAt = now();
		const changed = await db.transaction(async (tx) => {
			const rows = await tx
				.update(tables.migrations)
				.set({ state, error, endedAt, report: move.report })
				.where(and(eq(tables.migrations.id, move.id), isNull(tables.migrations.endedAt)))
				.returning();
			if (rows.length === 0) return false;
			const { measuredDowntimeMs } = move.report ?? {};
			const target = inventory.hostName(move.targetHostId);
			const seconds = ((endedAt - move.startedAt) / 1000).toFixed(1);
			const paused = measuredDowntimeMs == null ? "" : `, paused ${Math.round(measuredDowntimeMs)} ms`;
			await events.append(
				{
					kind: `migration.${state}`,
					actor: move.requestedBy,
					objects: this.#objectsOf(move),
					sentence:
						state === "completed"
							? `${move.guestName} runs on ${target}`
							: `${move.guestName} stays on ${inventory.hostName(move.sourceHostId)}: its move to ${target} ${state === "cancelled" ? "was cancelled" : "failed"}`,
					why: state === "completed" ? `moved in ${seconds} s${paused}` : (error?.message ?? null),
					evidence: { epoch: move.epoch, measuredDowntimeMs: measuredDowntimeMs ?? null, error },
				},
				tx,
			);
			return true;
		});
		Object.assign(move, { state, error, endedAt });
		this.#tell(move);
		if (changed) this.#onEnded(move);
	}

	/** Reports of the guest's moves, as `settle` wants them: how each ended on its source. */
	#reportsOf(guest: GuestEntry): MigrationReport[] {
		return this.#core.inventory.movesOf(guest.id).flatMap(({ report }) => (report ? [report] : []));
	}

	#objectsOf(move: MoveEntry) {
		const { inventory } = this.#core;
		return [
			{ type: "migration" as const, id: move.id, name: move.guestName },
			{ type: "guest" as const, id: move.guestId, name: move.guestName },
			{ type: "host" as const, id: move.sourceHostId, name: inventory.hostName(move.sourceHostId) },
			{ type: "host" as const, id: move.targetHostId, name: inventory.hostName(move.targetHostId) },
		];
	}

	#tell(move: MoveEntry): void {
		const { changes, inventory } = this.#core;
		const topic = `migration:${move.id}`;
		if (changes.isWatched(topic))
			changes.publish({ type: "migration", topic, migration: migrationView(move, inventory) });
		changes.touch("overview", "migrations", "guests", `guest:${move.guestId}`, topic);
		if (move.evacuationId) changes.touch("evacuations", `evacuation:${move.evacuationId}`);
	}
}

/** The guest's row, held until the transaction ends: grants and settlements of one guest come one after the other. */
async function lockedGuest(tx: Transaction, guestId: GuestId): Promise<typeof tables.guests.$inferSelect> {
	const [row] = await tx.select().from(tables.guests).where(eq(tables.guests.id, guestId)).for("update");
	if (!row) throw new SternaError("not_found", `there is no guest ${guestId}`);
	return row;
}
