import type { RecoveryPoint, RepositoryDamage } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { BackupJobId, GuestId, PointId, RepositoryId } from "@sterna/shared/ids";
import type { Output } from "@sterna/shared/protocol/commands";
import { and, desc, eq, inArray, isNotNull, isNull } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import type { Repositories, RepositoryEntry } from "./repositories.ts";

export type PointEntry = typeof tables.recoveryPoints.$inferSelect;

/** Who removes points, and by which rule; a rule comes again and leaves out what is being restored, a person is told. */
interface Removal {
	actor: string;
	why: string | null;
	rule?: unknown;
	leaveOutInUse: boolean;
}

const pointsTimeoutMs = 120_000;
const pruneTimeoutMs = 120_000;
const pruneAtOnce = 1000;

/** What the repositories hold, as the console knows it. The repository is the authority; this is its table of contents. */
export class Catalogue {
	readonly #parts: BackupParts;
	readonly #repositories: Repositories;
	readonly #reach: Reach;
	readonly #syncing = new Map<RepositoryId, Promise<void>>();
	readonly #pruning = new Set<RepositoryId>();

	constructor(parts: BackupParts, repositories: Repositories, reach: Reach) {
		this.#parts = parts;
		this.#repositories = repositories;
		this.#reach = reach;
	}

	/** @throws {SternaError} `not_found`, also for one that is being removed. */
	async get(id: PointId): Promise<PointEntry> {
		const { recoveryPoints } = tables;
		const [row] = await this.#parts.core.db
			.select()
			.from(recoveryPoints)
			.where(and(eq(recoveryPoints.id, id), isNull(recoveryPoints.prunedAt)));
		if (!row) throw new SternaError("not_found", `there is no recovery point ${id}`);
		return row;
	}

	/** Keeps the point from being removed until the transaction ends. @throws {SternaError} `not_found` when it was. */
	async hold(tx: Transaction, id: PointId): Promise<void> {
		const { recoveryPoints } = tables;
		const [row] = await tx
			.select({ id: recoveryPoints.id })
			.from(recoveryPoints)
			.where(and(eq(recoveryPoints.id, id), isNull(recoveryPoints.prunedAt)))
			.for("update");
		if (!row) throw new SternaError("not_found", `there is no recovery point ${id}`);
	}

	/** The guest's points, newest first. */
	pointsOf(guestId: GuestId): Promise<PointEntry[]> {
		const { recoveryPoints } = tables;
		return this.#parts.core.db
			.select()
			.from(recoveryPoints)
			.where(and(eq(recoveryPoints.guestId, guestId), isNull(recoveryPoints.prunedAt)))
			.orderBy(desc(recoveryPoints.takenAt));
	}

	/** Takes a point in that a run has made, or that a repository names. */
	async record(point: RecoveryPoint, jobId: BackupJobId | null): Promise<void> {
		await this.#parts.core.db.insert(tables.recoveryPoints).values(rowOf(point, jobId)).onConflictDoNothing();
		this.#touch(point.guestId);
	}

	/**
	 * Brings the catalogue in line with the repository. Points that vanished without having been removed from here are told.
	 * @throws {SternaError} what the agent says; nothing has changed then.
	 */
	sync(entry: RepositoryEntry): Promise<void> {
		const running = this.#syncing.get(entry.id);
		if (running) return running;
		const sync = this.#sync(entry).finally(() => this.#syncing.delete(entry.id));
		this.#syncing.set(entry.id, sync);
		return sync;
	}

	/** Syncs when the repository holds another number of points than the catalogue. */
	async syncIfDifferent(entry: RepositoryEntry): Promise<void> {
		const { core } = this.#parts;
		const known = await core.db.$count(
			tables.recoveryPoints,
			and(eq(tables.recoveryPoints.repositoryId, entry.id), isNull(tables.recoveryPoints.prunedAt)),
		);
		if (known === entry.usage?.points) return;
		await this.sync(entry).catch((err) =>
			core.log.warn({ err: asSternaError(err), repositoryId: entry.id }, "catalogue not synced"),
		);
	}

	async #sync(entry: RepositoryEntry): Promise<void> {
		const { core, hub } = this.#parts;
		const { db } = core;
		// What is recorded while the listing runs may not be in it.
		const before = await db
			.select({
				id: tables.recoveryPoints.id,
				guestId: tables.recoveryPoints.guestId,
				prunedAt: tables.recoveryPoints.prunedAt,
			})
			.from(tables.recoveryPoints)
			.where(eq(tables.recoveryPoints.repositoryId, entry.id));
		const known = new Set(before.map(({ id }) => id));
		const hostId = this.#reach.anyHost(entry);
		const access = this.#repositories.accessOf(entry);
		const listed = new Set<PointId>();
		for (let after: PointId | null = null; ; ) {
			const page: Output<"repository.points"> = await hub.call(
				hostId,
				"repository.points",
				{ access, after },
				{ timeoutMs: pointsTimeoutMs },
			);
			for (const point of page.points) {
				// An agent that names another repository's points is not believed.
				if (point.repositoryId !== entry.id) continue;
				listed.add(point.pointId);
				if (!known.has(point.pointId)) await this.record(point, await this.#jobOf(point.pointId));
			}
			const last = page.points.at(-1)?.pointId;
			if (!page.more || !last || (after !== null && last <= after)) break;
			after = last;
		}
		const gone = before.filter(({ id }) => !listed.has(id));
		if (gone.length === 0) return;
		const ids = gone.map(({ id }) => id);
		const vanished = gone.filter(({ prunedAt }) => prunedAt === null);
		await db.transaction(async (tx) => {
			await tx.delete(tables.recoveryPoints).where(inArray(tables.recoveryPoints.id, ids));
			if (vanished.length === 0) return;
			await core.events.append(
				{
					kind: "point.vanished",
					actor: "console",
					objects: [{ type: "repository", id: entry.id, name: entry.name }],
					sentence: `${vanished.length} recovery ${vanished.length === 1 ? "point is" : "points are"} not in ${entry.name} any more, and nobody removed them here`,
					evidence: { pointIds: vanished.map(({ id }) => id) },
					severity: "degraded",
				},
				tx,
			);
		});
		for (const { guestId } of gone) this.#touch(guestId);
	}

	async #jobOf(pointId: PointId): Promise<BackupJobId | null> {
		const { db } = this.#parts.core;
		const [run] = await db
			.select({ jobId: tables.backupRuns.jobId })
			.from(tables.backupRuns)
			.where(eq(tables.backupRuns.pointId, pointId));
		return run?.jobId ?? null;
	}

	async setProtection(point: PointEntry, protectedBy: string | null, actor: string, why: string | null): Promise<void> {
		const { core } = this.#parts;
		const at = new Date(point.takenAt).toISOString().slice(0, 16).replace("T", " ");
		await core.db.transaction(async (tx) => {
			await tx.update(tables.recoveryPoints).set({ protectedBy }).where(eq(tables.recoveryPoints.id, point.id));
			await core.events.append(
				{
					kind: protectedBy ? "point.protected" : "point.unprotected",
					actor,
					objects: objectsOf(point),
					sentence: `${actor} ${protectedBy ? "protected" : "no longer protects"} the recovery point of ${point.guestName} of ${at} UTC`,
					why,
				},
				tx,
			);
		});
		this.#touch(point.guestId);
	}

	/**
	 * Makes points disappear: here at once, in the repository as soon as an agent has said so. Returns how many; those that
	 * are gone already are not counted.
	 * @throws {SternaError} `wrong_state` naming a protected one, `conflict` one that is being restored unless those are to be
	 * left out; nothing is removed then.
	 */
	async remove(points: readonly PointEntry[], removal: Removal): Promise<number> {
		const { core } = this.#parts;
		if (points.length === 0) return 0;
		const removed = await core.db.transaction(async (tx) => {
			const leaving = await lockLeaving(tx, points, removal);
			if (leaving.length === 0) return [];
			const ids = leaving.map(({ id }) => id);
			await tx
				.update(tables.recoveryPoints)
				.set({ prunedAt: core.now() })
				.where(inArray(tables.recoveryPoints.id, ids));
			await core.events.append(removalEvent(leaving, removal), tx);
			return leaving;
		});
		for (const guestId of new Set(removed.map((point) => point.guestId))) this.#touch(guestId);
		for (const repositoryId of new Set(removed.map((point) => point.repositoryId))) {
			void this.finishRemoving(this.#repositories.get(repositoryId));
		}
		return removed.length;
	}

	/** Has an agent make invisible what was removed here; repeated until it has. True when anything was pruned. */
	async finishRemoving(entry: RepositoryEntry): Promise<boolean> {
		const { core, hub } = this.#parts;
		if (this.#pruning.has(entry.id)) return false;
		this.#pruning.add(entry.id);
		try {
			const rows = await core.db
				.select({ id: tables.recoveryPoints.id })
				.from(tables.recoveryPoints)
				.where(and(eq(tables.recoveryPoints.repositoryId, entry.id), isNotNull(tables.recoveryPoints.prunedAt)))
				.limit(pruneAtOnce);
			if (rows.length === 0) return false;
			const pointIds = rows.map(({ id }) => id);
			const input = { access: this.#repositories.accessOf(entry), pointIds };
			await hub.call(this.#reach.anyHost(entry), "repository.prune", input, { timeoutMs: pruneTimeoutMs });
			await core.db.delete(tables.recoveryPoints).where(inArray(tables.recoveryPoints.id, pointIds));
			return true;
		} catch (thrown) {
			core.log.info({ err: asSternaError(thrown), repositoryId: entry.id }, "points not pruned yet");
			return false;
		} finally {
			this.#pruning.delete(entry.id);
		}
	}

	/** What a scrub found: with `complete`, points that it does not name are whole again. */
	async setDamages(
		entry: RepositoryEntry,
		damages: readonly RepositoryDamage[],
		{ complete }: { complete: boolean },
	): Promise<void> {
		const { core } = this.#parts;
		const found = new Map<PointId, string>();
		for (const damage of damages) {
			for (const { pointId, ranges } of damage.points) {
				const bytes = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
				found.set(pointId, `${damage.text}${bytes > 0 ? `; ${bytes} bytes of a disk cannot be read` : ""}`);
			}
		}
		await core.db.transaction(async (tx) => {
			if (complete) {
				await tx
					.update(tables.recoveryPoints)
					.set({ damage: null })
					.where(and(eq(tables.recoveryPoints.repositoryId, entry.id), isNotNull(tables.recoveryPoints.damage)));
			}
			for (const [pointId, damage] of found) {
				await tx
					.update(tables.recoveryPoints)
					.set({ damage })
					.where(and(eq(tables.recoveryPoints.id, pointId), eq(tables.recoveryPoints.repositoryId, entry.id)));
			}
		});
		core.changes.touch("points", "protection", "overview");
	}

	#touch(guestId: GuestId): void {
		this.#parts.core.changes.touch("points", "protection", `guest:${guestId}`, "overview");
	}
}

/** The rows of what may go, locked: until the transaction ends, no restore of them begins. */
async function lockLeaving(tx: Transaction, points: readonly PointEntry[], removal: Removal): Promise<PointEntry[]> {
	const { recoveryPoints, restores } = tables;
	const ids = points.map(({ id }) => id);
	const rows = await tx
		.select()
		.from(recoveryPoints)
		.where(and(inArray(recoveryPoints.id, ids), isNull(recoveryPoints.prunedAt)))
		.orderBy(recoveryPoints.id)
		.for("update");
	const kept = rows.find(({ protectedBy }) => protectedBy !== null);
	if (kept) {
		throw new SternaError("wrong_state", `a recovery point of ${kept.guestName} is protected: ${kept.protectedBy}`, {
			cure: "end its protection first",
		});
	}
	const open = await tx
		.select({ pointId: restores.pointId })
		.from(restores)
		.where(and(inArray(restores.pointId, ids), isNull(restores.endedAt)));
	const inUse = new Set(open.map(({ pointId }) => pointId));
	const used = rows.find(({ id }) => inUse.has(id));
	if (used && !removal.leaveOutInUse)
		throw new SternaError("conflict", `a recovery point of ${used.guestName} is being restored right now`, {
			cure: "wait until the restore has ended, or cancel it",
		});
	return rows.filter(({ id }) => !inUse.has(id));
}

function removalEvent(points: readonly PointEntry[], { actor, why, rule }: Removal) {
	const names = [...new Set(points.map(({ guestName }) => guestName))];
	return {
		kind: "point.removed",
		actor,
		objects: points.slice(0, 20).flatMap(objectsOf).slice(0, 20),
		sentence: `${actor} removed ${points.length} recovery ${points.length === 1 ? "point" : "points"} of ${names.slice(0, 5).join(", ")}${names.length > 5 ? " and others" : ""}`,
		why,
		evidence: {
			points: points.map(({ id, guestName, takenAt }) => ({ id, guestName, takenAt })),
			...(rule ? { rule } : {}),
		},
	};
}

export function objectsOf(point: { id: PointId; guestId: GuestId; guestName: string }) {
	return [
		{ type: "point" as const, id: point.id, name: point.guestName },
		{ type: "guest" as const, id: point.guestId, name: point.guestName },
	];
}

function rowOf(point: RecoveryPoint, jobId: BackupJobId | null): typeof tables.recoveryPoints.$inferInsert {
	return {
		...{
			id: point.pointId,
			repositoryId: point.repositoryId,
			guestId: point.guestId,
			guestName: point.guestName,
			jobId,
		},
		...{ takenAt: point.takenAt, manifest: point },
		sizeBytes: point.volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0),
		storedBytes: point.volumes.reduce((sum, volume) => sum + volume.storedBytes, 0),
	};
}
