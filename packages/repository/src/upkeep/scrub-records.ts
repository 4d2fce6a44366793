import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { configKey, configText } from "../format/config.ts";
import { decodeForwarding } from "../format/forwarding.ts";
import { keyringKey, loadKeyring } from "../format/keyring.ts";
import { PointRecord } from "../format/manifest.ts";
import {
	CollectionRecord,
	collectionKey,
	LatestRecord,
	LedgerRecord,
	latestKey,
	ledgerKey,
	ledgerPrefix,
	movedPrefix,
	PrunedRecord,
	pointKey,
	pointsPrefix,
	prunedKey,
	prunedPrefix,
	putRecord,
	ReaderRecord,
	readersPrefix,
	SessionRecord,
	SuspectRecord,
	sessionKey,
	sessionsPrefix,
	suspectPrefix,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { Findings } from "./findings.ts";
import { listPointIds } from "./inventory.ts";
import { readRounds } from "./rounds.ts";
import { type Found, findObject, findRecord, nullIfGone } from "./small-object.ts";

/** Checks every small object, and that none is missing that another one knows of. Lost witnesses are written again. */
export async function scrubRecords(opened: Opened, findings: Findings): Promise<void> {
	await scrubDoor(opened, findings);
	await scrubRounds(opened, findings);
	for await (const { key } of opened.storage.list(movedPrefix)) {
		told(
			findings,
			key,
			await findObject(opened, key, (bytes) => decodeForwarding(key, opened.sealing.openObject(key, bytes))),
		);
	}
	for await (const { key } of opened.storage.list(suspectPrefix)) {
		told(findings, key, await findRecord(opened, key, SuspectRecord));
	}
	for await (const { key } of opened.storage.list(readersPrefix)) {
		told(findings, key, await findRecord(opened, key, ReaderRecord));
	}
	await scrubWitnesses(opened, findings);
}

/** What is needed to open the repository at all. */
async function scrubDoor(opened: Opened, findings: Findings): Promise<void> {
	const config = await opened.storage.get(configKey).catch(nullIfGone);
	if (!config) findings.add(configKey, "it is missing: nobody can open the repository");
	else if (Buffer.compare(config, configText(opened.config)) !== 0)
		findings.add(configKey, "it is not as it was written");
	const { bytes } = opened.repositoryKey;
	try {
		await loadKeyring(opened.storage, opened.config.repositoryId, bytes);
	} catch (error) {
		if (!(error instanceof SternaError) || (error.code !== "invalid" && error.code !== "forbidden")) throw error;
		findings.add(
			keyringKey(opened.config.repositoryId, bytes),
			`the key at hand opens the repository no more: ${error.message}`,
		);
	}
}

async function scrubRounds(opened: Opened, findings: Findings): Promise<void> {
	const rounds = await readRounds(opened);
	const latest = told(findings, latestKey, await findRecord(opened, latestKey, LatestRecord));
	if (rounds.length > 0 && latest.is === "gone") findings.add(latestKey, "it is missing");
	for (const { number, record } of rounds) {
		if (record) continue;
		const key = collectionKey(number);
		const found = told(findings, key, await findRecord(opened, key, CollectionRecord));
		if (found.is !== "gone") continue;
		// Old rounds are put away; what is above the oldest must be there.
		const present = await findRecord(opened, latestKey, LatestRecord);
		if (present.is === "there" && number >= present.value.oldest) findings.add(key, "it is missing");
	}
}

/**
 * Points, their marks, sessions, and the ledger that knows of them: one that lacks another is a loss, unless a session is on
 * its way, or a round is taking the point away.
 */
async function scrubWitnesses(opened: Opened, findings: Findings): Promise<void> {
	const points = await listPointIds(opened, pointsPrefix);
	const ledger = await listPointIds(opened, ledgerPrefix);
	const sessions = await listPointIds(opened, sessionsPrefix);
	for (const pointId of sessions) {
		told(findings, sessionKey(pointId), await findRecord(opened, sessionKey(pointId), SessionRecord));
	}
	for (const pointId of await listPointIds(opened, prunedPrefix)) {
		const found = told(findings, prunedKey(pointId), await findRecord(opened, prunedKey(pointId), PrunedRecord));
		if (found.is === "damaged") await putRecord(opened, prunedKey(pointId), {});
	}
	for (const pointId of points) {
		const found = told(findings, pointKey(pointId), await findRecord(opened, pointKey(pointId), PointRecord));
		if (found.is === "damaged") await nameOwner(opened, findings, pointId);
		if (found.is === "there") await scrubEntry(opened, findings, pointId, found.value);
	}
	for (const pointId of ledger) {
		const entry = await findRecord(opened, ledgerKey(pointId), LedgerRecord);
		if (entry.is === "damaged") findings.add(ledgerKey(pointId), entry.reason);
		if (entry.is === "gone" || points.has(pointId) || sessions.has(pointId)) continue;
		const isPruned = entry.is === "there" && entry.value.is === "point" && entry.value.pruned;
		// The last word of a pruner that was overtaken by a collection: there is no mark any more either.
		if (isPruned && !(await isThere(opened, prunedKey(pointId)))) continue;
		if ((await isThere(opened, pointKey(pointId))) || (await isLeaving(opened, pointId))) continue;
		findings.add(pointKey(pointId), "the manifest is missing, and the ledger knows the point");
		await nameOwner(opened, findings, pointId);
	}
}

/** The ledger's entry of a point that is there; written again from the manifest when it is damaged or missing. */
async function scrubEntry(opened: Opened, findings: Findings, pointId: PointId, point: PointRecord): Promise<void> {
	const key = ledgerKey(pointId);
	const entry = told(findings, key, await findRecord(opened, key, LedgerRecord));
	if (entry.is === "there") {
		const saysPruned = entry.value.is === "point" && entry.value.pruned;
		if (!saysPruned || (await isThere(opened, prunedKey(pointId))) || (await isLeaving(opened, pointId))) return;
		findings.add(prunedKey(pointId), "the mark of a pruned point is missing; it is written again");
		return putRecord(opened, prunedKey(pointId), {});
	}
	if (entry.is === "gone") {
		if ((await isThere(opened, sessionKey(pointId))) || (await isLeaving(opened, pointId))) return;
		if (await isThere(opened, key)) return;
		findings.add(key, "it is missing; it is written again");
	}
	if (point.is === "abandoned") return putRecord(opened, key, point);
	const { guestId, guestName, takenAt } = point.point;
	const pruned = await isThere(opened, prunedKey(pointId));
	await putRecord(opened, key, { is: "point", guestId, guestName, takenAt, pruned });
}

async function isThere(opened: Opened, key: string): Promise<boolean> {
	return (await opened.storage.size(key)) !== null;
}

/** A round that is not finished takes the point away in several steps; or one has just done so, and nothing is left. */
async function isLeaving(opened: Opened, pointId: PointId): Promise<boolean> {
	const rounds = await readRounds(opened);
	if (rounds.some(({ record }) => record && !record.finished && record.points.includes(pointId))) return true;
	return !(await isThere(opened, pointKey(pointId))) && !(await isThere(opened, ledgerKey(pointId)));
}

/** Says whose point it is, when the ledger still knows. */
async function nameOwner(opened: Opened, findings: Findings, pointId: PointId): Promise<void> {
	const entry = await findRecord(opened, ledgerKey(pointId), LedgerRecord);
	if (entry.is !== "there" || entry.value.is !== "point") return;
	const { guestId, guestName } = entry.value;
	findings.hits(pointKey(pointId), { pointId, guestId, guestName }, null);
}

function told<Value>(findings: Findings, key: string, found: Found<Value>): Found<Value> {
	if (found.is === "damaged") findings.add(key, found.reason);
	return found;
}
