import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import type { PackId } from "../format/pack-id.ts";
import {
	CollectionRecord,
	collectionKey,
	collectionNumber,
	collectionsPrefix,
	createRecord,
	LatestRecord,
	latestKey,
	putRecord,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { type Found, findRecord } from "./small-object.ts";

/** Finished rounds that are kept for who looks into what happened. */
const keptFinished = 8;

export interface Round {
	number: number;
	/** Null when it is lost or damaged: what it condemned is not known any more. */
	record: CollectionRecord | null;
}

/** All rounds from the oldest to the newest, with those that should be there and are not. */
export async function readRounds(opened: Opened): Promise<Round[]> {
	const latest = ifThere(await findRecord(opened, latestKey, LatestRecord));
	const numbers = new Set<number>();
	for await (const { key } of opened.storage.list(collectionsPrefix)) {
		const number = collectionNumber(key);
		if (number !== null) numbers.add(number);
	}
	if (numbers.size === 0 && !latest) return [];
	const oldest = Math.min(...numbers, latest?.oldest ?? Number.POSITIVE_INFINITY);
	const newest = Math.max(...numbers, latest?.newest ?? 0);
	const rounds: Round[] = [];
	for (let number = oldest; number <= newest; number++) {
		const record = ifThere(await findRecord(opened, collectionKey(number), CollectionRecord));
		// Older than `latest` says, and gone: another collector has just put it away.
		if (record || number >= (latest?.oldest ?? oldest)) rounds.push({ number, record });
	}
	return rounds;
}

/** Begins a round; false when another collector was faster: then its round does for this one, too. */
export async function createRound(
	opened: Opened,
	rounds: readonly Round[],
	record: CollectionRecord,
): Promise<boolean> {
	const oldest = rounds[0]?.number ?? 1;
	const number = (rounds.at(-1)?.number ?? 0) + 1;
	// Before the first round, so that from then on it is missing only if it was lost.
	if (rounds.length === 0) await putRecord(opened, latestKey, { oldest, newest: 0 });
	try {
		await createRecord(opened, collectionKey(number), record);
	} catch (error) {
		if (error instanceof SternaError && error.code === "conflict") return false;
		throw error;
	}
	await putRecord(opened, latestKey, { oldest, newest: number });
	return true;
}

export async function writeRound(opened: Opened, number: number, record: CollectionRecord): Promise<void> {
	await putRecord(opened, collectionKey(number), record);
}

/** Puts away all but the newest finished rounds. Numbers stay taken: `latest` knows the newest. */
export async function forgetRounds(opened: Opened, rounds: readonly Round[]): Promise<void> {
	const firstUnfinished = rounds.findIndex(({ record }) => !record?.finished);
	const finished = firstUnfinished < 0 ? rounds.length : firstUnfinished;
	const gone = rounds.slice(0, Math.max(0, finished - keptFinished));
	const newest = rounds.at(-1);
	const oldest = rounds[gone.length];
	if (gone.length === 0 || !newest || !oldest) return;
	await putRecord(opened, latestKey, { oldest: oldest.number, newest: newest.number });
	for (const { number } of gone) await opened.storage.remove(collectionKey(number));
}

/** What rounds that are not finished have condemned, will forget, or own. */
export function heldByRounds(rounds: readonly Round[]): {
	condemned: Set<PackId>;
	points: Set<PointId>;
	roundIds: string[];
} {
	const unfinished = rounds.flatMap(({ record }) => (record && !record.finished ? [record] : []));
	return {
		condemned: new Set(unfinished.flatMap(({ condemned }) => condemned)),
		points: new Set(unfinished.flatMap(({ points }) => points)),
		roundIds: unfinished.map(({ roundId }) => roundId),
	};
}

function ifThere<Value>(found: Found<Value>): Value | null {
	return found.is === "there" ? found.value : null;
}
