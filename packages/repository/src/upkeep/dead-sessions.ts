import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { createTombstone } from "../format/manifest.ts";
import {
	type CollectionRecord,
	ledgerKey,
	pointKey,
	putRecord,
	type SessionRecord,
	sessionKey,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { type FoundSession, readSessions } from "./inventory.ts";
import type { Round } from "./rounds.ts";

/** A writer beats every few minutes; one that was silent for this long between two rounds is dead. */
export const silentMs = 60 * 60 * 1000;

/**
 * Ends the sessions that have a point, and for good those of dead writers. Returns the sessions that live on.
 * A writer that only seemed dead finds its point taken when it commits; no clock decides about anything else.
 */
export async function endDeadSessions(opened: Opened, rounds: readonly Round[], now: number): Promise<FoundSession[]> {
	const living: FoundSession[] = [];
	const records = rounds.flatMap(({ record }) => record ?? []);
	for (const session of await readSessions(opened)) {
		const { pointId } = session;
		const hasEnded = (await opened.storage.size(pointKey(pointId))) !== null;
		if (hasEnded) await witness(opened, pointId);
		else if (isSilent(session, records, now)) await bury(opened, pointId);
		else {
			living.push(session);
			continue;
		}
		await opened.storage.remove(sessionKey(pointId));
	}
	return living;
}

/** Whether an earlier round saw the same beat, and that was long enough ago by the clock, whichever way it runs. */
export function isSilent(
	session: { pointId: PointId; record: Pick<SessionRecord, "beat"> },
	rounds: readonly Pick<CollectionRecord, "markedAt" | "sessions">[],
	now: number,
): boolean {
	const { pointId, record } = session;
	return rounds.some(
		({ markedAt, sessions }) =>
			isLongAgo(markedAt, now) && sessions.some((each) => each.pointId === pointId && each.beat === record.beat),
	);
}

export function isLongAgo(markedAt: number, now: number): boolean {
	return Math.abs(now - markedAt) >= silentMs;
}

async function bury(opened: Opened, pointId: PointId): Promise<void> {
	try {
		await createTombstone(opened, pointId);
	} catch (error) {
		if (!(error instanceof SternaError) || error.code !== "conflict") throw error;
		await witness(opened, pointId);
	}
}

/** Only a tombstone can lack its entry in the ledger: a manifest's is written before it. */
async function witness(opened: Opened, pointId: PointId): Promise<void> {
	if ((await opened.storage.size(ledgerKey(pointId))) !== null) return;
	await putRecord(opened, ledgerKey(pointId), { is: "abandoned" });
}
