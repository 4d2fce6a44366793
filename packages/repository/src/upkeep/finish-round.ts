import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { type PackId, packKey } from "../format/pack-id.ts";
import {
	CollectionRecord,
	collectionKey,
	ledgerKey,
	movedKey,
	pointKey,
	prunedKey,
	suspectKey,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";
import { compactPack, worthCompacting } from "./compact.ts";
import { isCovered, targetsOf } from "./forwarded.ts";
import { readSessions, takeInventory } from "./inventory.ts";
import { type Marked, mark } from "./mark.ts";
import { type Round, writeRound } from "./rounds.ts";
import { findRecord } from "./small-object.ts";

export interface Finished {
	freedBytes: number;
	/** Sessions that have not seen a round, which waits for their end. */
	waitingFor: number;
	/** Rounds are left that cannot be finished: a pruned point that they still count on cannot be read. */
	doubt: boolean;
}

/** Finishes rounds from the oldest on, up to the first that has to wait. */
export async function finishRounds(
	opened: Opened,
	rounds: readonly Round[],
	options: UpkeepOptions,
): Promise<Finished> {
	const finished: Finished = { freedBytes: 0, waitingFor: 0, doubt: false };
	const forgotten = new Set<PointId>();
	for (const { number, record } of rounds) {
		if (!record || record.finished) continue;
		const sessions = await readSessions(opened);
		finished.waitingFor = sessions.filter((session) => (session.record.sawCollection ?? 0) < number).length;
		if (finished.waitingFor > 0) break;
		for (const pointId of record.points) forgotten.add(pointId);
		const marked = await markWithout(opened, forgotten, options);
		// Read behind the marking: had another collector finished the round, what was marked from might be gone since.
		const found = await findRecord(opened, collectionKey(number), CollectionRecord);
		if (found.is !== "there" || found.value.finished || found.value.roundId !== record.roundId) continue;
		if (!marked) return { ...finished, doubt: true };
		finished.freedBytes += await finishRound(opened, { number, record: found.value }, marked, options);
	}
	return finished;
}

/** What all points but those need; null when one of them cannot be read. */
async function markWithout(
	opened: Opened,
	forgotten: ReadonlySet<PointId>,
	options: UpkeepOptions,
): Promise<Marked | null> {
	const { manifests, unreadable } = await takeInventory(opened);
	if ([...unreadable].some((pointId) => !forgotten.has(pointId))) return null;
	const roots = [...manifests].filter(([pointId]) => !forgotten.has(pointId)).map(([, manifest]) => manifest);
	try {
		return await mark(opened, roots, options);
	} catch (error) {
		if (error instanceof SternaError && error.code === "invalid") return null;
		throw error;
	}
}

/**
 * Deletes what a round condemned and still nothing needs. Two collectors may do this at once, and one may wake up long after
 * the other: from the moment every session that had not seen the round has ended, what points need of a condemned pack stays
 * the same until the round is finished, so both decide the same about every pack.
 */
async function finishRound(
	opened: Opened,
	{ number, record }: { number: number; record: CollectionRecord },
	marked: Marked,
	options: UpkeepOptions,
): Promise<number> {
	let freedBytes = 0;
	const condemned: PackId[] = [];
	for (const packId of record.condemned) {
		options.signal.throwIfAborted();
		try {
			freedBytes += await freePack(opened, packId, record.roundId, marked);
		} catch (error) {
			if (!isLocked(error)) throw error;
			condemned.push(packId);
		}
	}
	const points = await forgetPoints(opened, record.points);
	const finished = condemned.length + points.length === 0;
	await writeRound(opened, number, { ...record, finished, condemned, points });
	return freedBytes;
}

/** Frees one condemned pack as far as it may be. Returns the bytes freed. */
async function freePack(opened: Opened, packId: PackId, roundId: string, marked: Marked): Promise<number> {
	const { storage } = opened;
	const sizeBytes = await storage.size(packKey(packId));
	const needed = marked.live.of(packId);
	if (needed.length === 0) {
		await storage.remove(packKey(packId));
		await storage.remove(movedKey(packId));
		await storage.remove(suspectKey(packId));
		return sizeBytes ?? 0;
	}
	if (sizeBytes === null) return 0;
	let movedBytes = 0;
	if (!marked.notes.has(packId)) {
		const isSuspect = (await storage.size(suspectKey(packId))) !== null;
		if (!isSuspect && !worthCompacting(sizeBytes, marked.live.bytes(packId), opened)) return 0;
		const compacted = await compactPack(opened, { packId, needed, roundId });
		marked.notes.set(packId, compacted.note);
		movedBytes = compacted.storedBytes;
	}
	// Needed by someone after all, at a place that no note tells of: the pack stays.
	if (!isCovered(packId, needed, marked.notes)) return 0;
	for (const target of targetsOf(packId, needed, marked.notes)) {
		if ((await storage.size(packKey(target))) === null && !marked.notes.has(target)) return 0;
	}
	await storage.remove(packKey(packId));
	return Math.max(0, sizeBytes - movedBytes);
}

/**
 * Deletes pruned points; those that are locked are returned. The witness goes first: left behind alone it would cry for a
 * lost manifest. The mark goes last: without it the manifest would be visible.
 */
async function forgetPoints(opened: Opened, points: CollectionRecord["points"]): Promise<CollectionRecord["points"]> {
	const locked: CollectionRecord["points"] = [];
	for (const pointId of points) {
		try {
			await opened.storage.remove(ledgerKey(pointId));
			await opened.storage.remove(pointKey(pointId));
			await opened.storage.remove(prunedKey(pointId));
		} catch (error) {
			if (!isLocked(error)) throw error;
			locked.push(pointId);
		}
	}
	return locked;
}

function isLocked(error: unknown): boolean {
	return error instanceof SternaError && error.code === "forbidden";
}
