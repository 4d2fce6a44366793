import { SternaError } from "@sterna/shared/errors";
import { configKey } from "../format/config.ts";
import { packKey } from "../format/pack-id.ts";
import { LocksRecord, locksKey, movedKey, pointKey, putRecord } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { Collected } from "../repository.ts";
import { isLockedKey } from "../storage.ts";
import { isCovered } from "./forwarded.ts";
import type { Inventory } from "./inventory.ts";
import type { Marked } from "./mark.ts";
import { findRecord } from "./small-object.ts";

/** Less than the day between two collections, so that one that begins a little early does not leave a day out. */
const renewEveryMs = 20 * 60 * 60 * 1000;
/** So many fail when the place does not let locks be extended at all: then the rest is not tried. */
const maxFailures = 1000;
/** So many in succession when it is away. */
const maxUnavailable = 16;
const callsInFlight = 8;

/**
 * Extends the locks of everything that a restore of a visible point needs, so that a point of today is as locked as its
 * promise says, also where it refers to packs of long ago. Once in `renewEveryMs`; in between only what failed before is tried
 * again: what came since is locked from its writing. What fails stops nothing, and is told.
 *
 * @param needed what the collection has just marked; null when it could not, because something is damaged: then nobody knows
 * what the other points need, and everything is locked on
 * @param round `now`: when it marked, in ms since 1970
 */
export async function renewLocks(
	opened: Opened,
	needed: (Inventory & Marked) | null,
	{ signal, now }: { signal: AbortSignal; now: number },
): Promise<Collected["lockFailures"]> {
	const { storage } = opened;
	if (!storage.extendLock) return null;
	const found = await findRecord(opened, locksKey, LocksRecord);
	const last = found.is === "there" ? found.value : null;
	// A time yet to come was written by a wrong clock.
	const isDue = last === null || last.renewedAt > now || now - last.renewedAt >= renewEveryMs;
	const failedBefore = new Set(last?.failedKeys);
	if (!isDue && failedBefore.size === 0) return null;
	const wanted = needed ? await keysToLock(opened, needed) : await keysThatLock(opened);
	const keys = isDue ? wanted : wanted.filter((key) => failedBefore.has(key));

	const failed: { key: string; reason: string }[] = [];
	let [next, extended, unavailable] = [0, 0, 0];
	const givesUp = () => failed.length >= maxFailures || unavailable >= maxUnavailable;
	const extend = async () => {
		for (let key = keys[next++]; key !== undefined && !givesUp(); key = keys[next++]) {
			signal.throwIfAborted();
			try {
				await storage.extendLock?.(key);
				extended++;
				unavailable = 0;
			} catch (error) {
				if (!(error instanceof SternaError) || error.code === "cancelled") throw error;
				unavailable = error.code === "unavailable" ? unavailable + 1 : 0;
				failed.push({ key, reason: error.message });
			}
		}
	};
	await Promise.all(Array.from({ length: callsInFlight }, extend));
	const first = failed[0];
	// Without a note of it everything is due again the next time.
	if (first && givesUp()) return { objects: keys.length - extended, reason: first.reason };
	const renewedAt = isDue ? now : last.renewedAt;
	await writeLocks(opened, { renewedAt, failedKeys: failed.map(({ key }) => key) });
	return first ? { objects: failed.length, reason: first.reason } : null;
}

/**
 * Packs whose needed blocks have all been moved are left out, or they would stay for as long as an old tree refers to them;
 * the notes that say where the blocks are now are not.
 */
async function keysToLock({ storage }: Opened, { manifests, pruned, live, notes }: Inventory & Marked) {
	const keys: string[] = [configKey];
	for await (const { key } of storage.list("keys/")) keys.push(key);
	for (const pointId of manifests.keys()) {
		if (!pruned.has(pointId)) keys.push(pointKey(pointId));
	}
	for (const packId of live.packs()) {
		if (notes.has(packId)) keys.push(movedKey(packId));
		if (!isCovered(packId, live.of(packId), notes)) keys.push(packKey(packId));
	}
	return keys;
}

/** Of everything but the canaries, which are there to go. */
async function keysThatLock({ storage }: Opened): Promise<string[]> {
	const keys: string[] = [];
	for await (const { key } of storage.list("")) {
		if (isLockedKey(key) && !key.startsWith("canary/")) keys.push(key);
	}
	return keys;
}

/** Best effort: without it the next collection extends everything again. */
async function writeLocks(opened: Opened, record: LocksRecord): Promise<void> {
	try {
		await putRecord(opened, locksKey, record);
	} catch (error) {
		if (!(error instanceof SternaError)) throw error;
	}
}
