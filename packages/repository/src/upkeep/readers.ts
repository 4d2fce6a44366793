import type { PointId } from "@sterna/shared/ids";
import { type ReaderId, ReaderRecord, readerIdOfKey, readerKey, readersPrefix } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { isLongAgo } from "./dead-sessions.ts";
import { beatOf } from "./inventory.ts";
import type { Round } from "./rounds.ts";
import { findRecord, nullIfGone } from "./small-object.ts";

/** Who reads a point. Null: its object cannot be read, so it may be any point; a living reader rewrites it soon. */
export interface FoundReader {
	readerId: ReaderId;
	pointId: PointId | null;
	beat: number;
}

export function holds(readers: readonly FoundReader[], pointId: PointId): boolean {
	return readers.some((reader) => reader.pointId === null || reader.pointId === pointId);
}

/** Takes away the holds of dead readers, told like dead sessions by two rounds at least an hour apart. Returns the living. */
export async function endDeadReaders(opened: Opened, rounds: readonly Round[], now: number): Promise<FoundReader[]> {
	const longAgo = rounds.flatMap(({ record }) => (record && isLongAgo(record.markedAt, now) ? record.readers : []));
	const living: FoundReader[] = [];
	for (const reader of await readReaders(opened)) {
		const isSilent = longAgo.some(({ readerId, beat }) => readerId === reader.readerId && beat === reader.beat);
		if (isSilent) await opened.storage.remove(readerKey(reader.readerId));
		else living.push(reader);
	}
	return living;
}

async function readReaders(opened: Opened): Promise<FoundReader[]> {
	const readers: FoundReader[] = [];
	for await (const { key } of opened.storage.list(readersPrefix)) {
		const readerId = readerIdOfKey(key);
		const bytes = readerId && (await opened.storage.get(key).catch(nullIfGone));
		if (!bytes) continue;
		const found = await findRecord(opened, key, ReaderRecord);
		if (found.is === "there") readers.push({ readerId, ...found.value });
		else if (found.is === "damaged") readers.push({ readerId, pointId: null, beat: beatOf(bytes) });
	}
	return readers;
}
