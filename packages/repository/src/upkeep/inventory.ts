import { createHash } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { type Manifest, PointRecord } from "../format/manifest.ts";
import {
	LedgerRecord,
	ledgerKey,
	ledgerPrefix,
	pointIdOfKey,
	pointKey,
	pointsPrefix,
	prunedPrefix,
	SessionRecord,
	sessionKey,
	sessionsPrefix,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { findRecord, nullIfGone } from "./small-object.ts";

/** The ids of all objects under a prefix, by list. */
export async function listPointIds(opened: Opened, prefix: string): Promise<Set<PointId>> {
	const ids = new Set<PointId>();
	for await (const { key } of opened.storage.list(prefix)) {
		const pointId = pointIdOfKey(prefix, key);
		if (pointId) ids.add(pointId);
	}
	return ids;
}

/** A session object. */
export interface FoundSession {
	pointId: PointId;
	record: SessionRecord;
}

/** Every session object. Of one that is damaged it is only known whether it changes; a living writer rewrites it soon. */
export async function readSessions(opened: Opened): Promise<FoundSession[]> {
	const sessions: FoundSession[] = [];
	for (const pointId of await listPointIds(opened, sessionsPrefix)) {
		const bytes = await opened.storage.get(sessionKey(pointId)).catch(nullIfGone);
		if (!bytes) continue;
		const found = await findRecord(opened, sessionKey(pointId), SessionRecord);
		if (found.is === "there") sessions.push({ pointId, record: found.value });
		else if (found.is === "damaged")
			sessions.push({ pointId, record: { parentPointId: null, sawCollection: null, beat: beatOf(bytes) } });
	}
	return sessions;
}

/** Stands for the beat of an object that cannot be read: it changes when the object does. */
export function beatOf(bytes: Uint8Array): number {
	return createHash("sha256").update(bytes).digest().readUIntBE(0, 6);
}

/** The manifests of all points, visible or pruned, and which are pruned. Only of pruned ones may some be unreadable. */
export interface Inventory {
	manifests: Map<PointId, Manifest>;
	pruned: Set<PointId>;
	unreadable: Set<PointId>;
}

/**
 * All manifests. The order of the lists matters: an entry of the ledger has a session until its manifest is there.
 * @throws {SternaError} `invalid` when a manifest that is not pruned is damaged, or one that the ledger knows is missing.
 */
export async function takeInventory(opened: Opened): Promise<Inventory> {
	const ledger = await listPointIds(opened, ledgerPrefix);
	const sessions = await listPointIds(opened, sessionsPrefix);
	const pruned = await listPointIds(opened, prunedPrefix);
	const points = await listPointIds(opened, pointsPrefix);
	for (const pointId of ledger) {
		if (points.has(pointId) || sessions.has(pointId)) continue;
		if (await isLost(opened, pointId)) {
			throw new SternaError(
				"invalid",
				`the manifest of recovery point ${pointId} is missing, or a listing is too short`,
				{
					cure: "scrub the repository: nothing is deleted while something is missing",
				},
			);
		}
	}
	const manifests = new Map<PointId, Manifest>();
	const unreadable = new Set<PointId>();
	for (const pointId of points) {
		const found = await findRecord(opened, pointKey(pointId), PointRecord);
		if (found.is === "there" && found.value.is === "point") manifests.set(pointId, found.value);
		if (found.is !== "damaged") continue;
		if (!pruned.has(pointId)) throw new SternaError("invalid", found.reason);
		unreadable.add(pointId);
	}
	return { manifests, pruned, unreadable };
}

/** Whether the ledger still knows a point of which nothing else is left. One that was pruned needs no witness any more. */
export async function isLost(opened: Opened, pointId: PointId): Promise<boolean> {
	const entry = await findRecord(opened, ledgerKey(pointId), LedgerRecord);
	if (entry.is === "gone" || (entry.is === "there" && entry.value.is === "point" && entry.value.pruned)) return false;
	return (await opened.storage.size(pointKey(pointId))) === null;
}
