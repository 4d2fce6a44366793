import { randomUUID } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import type { Manifest } from "../format/manifest.ts";
import { type PackId, packBelongsTo, packIdOfKey } from "../format/pack-id.ts";
import { movedPrefix, packIdUnder, packsPrefix, suspectPrefix } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { Collected, UpkeepOptions } from "../repository.ts";
import { canBeMoved, worthCompacting } from "./compact.ts";
import { endDeadSessions } from "./dead-sessions.ts";
import { finishRounds } from "./finish-round.ts";
import { isCovered } from "./forwarded.ts";
import { type Inventory, takeInventory } from "./inventory.ts";
import { type Marked, mark } from "./mark.ts";
import { endDeadReaders, type FoundReader, holds } from "./readers.ts";
import { renewLocks } from "./renew-locks.ts";
import { createRound, forgetRounds, heldByRounds, type Round, readRounds, writeRound } from "./rounds.ts";

/**
 * One round of collection. Nobody waits for a lock; why that is safe, and against whom, says docs/decisions/0011. In short:
 *
 * 1. Sessions whose writers are dead are ended for good.
 * 2. Earlier rounds are finished once every session that might have missed them has ended: what they condemned and still
 *    nothing needs is deleted; what little is needed of a pack is moved.
 * 3. A new round is marked: what it condemns nobody makes new use of from then on. It is finished at once when there is no
 *    session, else by a later collection.
 *
 * What visible points need is known when the round is marked: then its locks are extended, where there are locks. Where what is
 * needed cannot be read, the locks of all that is there are.
 *
 * Anything that cannot be read ends the collection before it deletes.
 * @throws {SternaError} `invalid` naming what cannot be read.
 */
export async function collect(
	opened: Opened,
	options: UpkeepOptions,
	now: () => number = Date.now,
): Promise<Collected> {
	await opened.storage.tidy();
	await endDeadSessions(opened, await readRounds(opened), now());
	const earlier = await finishRounds(opened, await readRounds(opened), options);
	const markedAt = now();
	const lockAt = { signal: options.signal, now: markedAt };
	const needed = await markRound(opened, options, { markedAt, supersede: earlier.doubt }).catch(
		async (doubt: unknown) => {
			// Best effort: what stopped the collection is what must be told.
			await renewLocks(opened, null, lockAt).catch(() => null);
			throw doubt;
		},
	);
	// Before anything is moved: afterwards packs that are known to be needed may be gone.
	const lockFailures = await renewLocks(opened, needed, lockAt);
	const outcome = await finishRounds(opened, await readRounds(opened), options);
	await forgetRounds(opened, await readRounds(opened));
	const freedBytes = earlier.freedBytes + outcome.freedBytes;
	return { freedBytes, waitingFor: outcome.waitingFor, lockFailures };
}

/**
 * Marks what is needed, which is returned, and condemns the rest. No round begins when there is nothing to condemn, to forget
 * or to watch. A pruned point that somebody reads is needed as if it were visible, and left to a later round.
 * `supersede`: rounds that cannot be finished are closed, and this one takes over what they condemned.
 */
async function markRound(
	opened: Opened,
	options: UpkeepOptions,
	{ markedAt, supersede }: { markedAt: number; supersede: boolean },
): Promise<Needed> {
	const rounds = await readRounds(opened);
	// Sessions before packs before points: a pack that is listed has its session listed, or its point, or a session that
	// cannot have seen this round.
	const sessions = await endDeadSessions(opened, rounds, markedAt);
	const packs = await listPacks(opened);
	const [moved, suspects] = [await listNamed(opened, movedPrefix), await listNamed(opened, suspectPrefix)];
	const needed = await markNeeded(opened, options, { rounds, markedAt });
	const { manifests, pruned, unreadable, readers, held: read } = needed;

	// What a lost record had condemned and nothing needs is condemned again, too.
	const closing = rounds.filter(({ record }) => record === null || (supersede && !record.finished));
	const held = heldByRounds(rounds.filter((round) => !closing.includes(round)));
	const owners = [...heldByRounds(rounds).roundIds, ...sessions.map(({ pointId }) => pointId)];
	const condemned: PackId[] = [];
	for (const packId of new Set([...packs.keys(), ...moved, ...suspects])) {
		if (held.condemned.has(packId) || owners.some((owner) => packBelongsTo(packId, owner))) continue;
		const pack = { packId, packBytes: packs.get(packId) ?? null, isSuspect: suspects.has(packId) };
		if (await mayGo(opened, pack, needed)) condemned.push(packId);
	}
	const leaving = [...manifests.keys(), ...unreadable].filter((id) => pruned.has(id) && !read.has(id));
	const points = leaving.filter((id) => !held.points.has(id));
	if (condemned.length + points.length + sessions.length + readers.length + closing.length === 0) return needed;

	const beats = sessions.map(({ pointId, record }) => ({ pointId, beat: record.beat }));
	const readerBeats = readers.map(({ readerId, beat }) => ({ readerId, beat }));
	const round = { finished: false, condemned, points, roundId: randomUUID(), markedAt };
	const record = { ...round, sessions: beats, readers: readerBeats };
	if (!(await createRound(opened, rounds, record))) return needed;
	for (const { number } of closing) {
		await writeRound(opened, number, {
			...record,
			finished: true,
			condemned: [],
			points: [],
			sessions: [],
			readers: [],
		});
	}
	return needed;
}

/** Whether nothing needs the pack, or what is needed has been moved, or is better moved. */
async function mayGo(
	opened: Opened,
	{ packId, packBytes, isSuspect }: { packId: PackId; packBytes: number | null; isSuspect: boolean },
	{ live, notes }: Marked,
): Promise<boolean> {
	const needed = live.of(packId);
	if (needed.length === 0) return true;
	if (packBytes === null) return false;
	if (notes.has(packId)) return isCovered(packId, needed, notes);
	if (isSuspect) return canBeMoved(opened, packId, needed);
	return worthCompacting(packBytes, live.bytes(packId), opened);
}

interface Needed extends Inventory, Marked {
	readers: FoundReader[];
	/** Pruned points that are needed all the same, because somebody reads them. */
	held: Set<PointId>;
}

/**
 * What visible points and those that somebody reads need. A point that is pruned under way may be gone when its tree is read:
 * then once more without it. A pruned point that a round takes away, or that cannot be read whole, is held by nobody.
 */
async function markNeeded(
	opened: Opened,
	options: UpkeepOptions,
	{ rounds, markedAt }: { rounds: readonly Round[]; markedAt: number },
): Promise<Needed> {
	const letGo = new Set(rounds.flatMap(({ record }) => record?.points ?? []));
	for (;;) {
		const inventory = await takeInventory(opened);
		const { manifests, pruned } = inventory;
		// After the marks: who reads saw none after its own object was there (`holdPoint`).
		const readers = await endDeadReaders(opened, rounds, markedAt);
		const held = new Set([...pruned].filter((id) => manifests.has(id) && !letGo.has(id) && holds(readers, id)));
		const needed = [...manifests].filter(([id]) => !pruned.has(id) || held.has(id));
		const roots = needed.map(([, manifest]) => manifest);
		try {
			return { ...inventory, readers, held, ...(await mark(opened, roots, options)) };
		} catch (error) {
			if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
			const now = await takeInventory(opened);
			if (needed.some(([id]) => !now.manifests.has(id) || now.pruned.has(id) !== pruned.has(id))) continue;
			const damaged = await damagedOf(opened, roots, options);
			if (damaged.length === 0 || damaged.some((id) => !held.has(id))) throw error;
			for (const id of damaged) letGo.add(id);
		}
	}
}

/** Those whose trees cannot be read. */
async function damagedOf(opened: Opened, roots: readonly Manifest[], options: UpkeepOptions): Promise<PointId[]> {
	const damaged: PointId[] = [];
	for (const root of roots) {
		try {
			await mark(opened, [root], options);
		} catch (error) {
			if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
			damaged.push(root.point.pointId);
		}
	}
	return damaged;
}

async function listPacks(opened: Opened): Promise<Map<PackId, number>> {
	const packs = new Map<PackId, number>();
	for await (const { key, sizeBytes } of opened.storage.list(packsPrefix)) {
		const packId = packIdOfKey(key);
		if (packId) packs.set(packId, sizeBytes);
	}
	return packs;
}

async function listNamed(opened: Opened, prefix: string): Promise<Set<PackId>> {
	const packIds = new Set<PackId>();
	for await (const { key } of opened.storage.list(prefix)) {
		const packId = packIdUnder(prefix, key);
		if (packId) packIds.add(packId);
	}
	return packIds;
}
