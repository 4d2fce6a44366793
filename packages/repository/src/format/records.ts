import { SternaError, zodSentence } from "@sterna/shared/errors";
import { GuestId, PointId, TimestampMs } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import type { Storage } from "../storage.ts";
import { type PackId, parsePackId } from "./pack-id.ts";
import type { Sealing } from "./sealing.ts";

/** What a small sealed object needs: `Opened` is one. */
export interface RecordPlace {
	storage: Storage;
	sealing: Sealing;
}

const PackIdText = z
	.string()
	.regex(/^[0-9a-f]{32}$/, "the id of a pack is 32 hex digits")
	.transform((text): PackId => parsePackId(text));

/** A live writer: `sessions/<pointId>`. Written first with `sawCollection` null, then again once the collections were listed. */
export const SessionRecord = z.strictObject({
	parentPointId: PointId.nullable(),
	/** The highest collection that the writer knows of, 0 for none; null: it has not looked yet. */
	sawCollection: z.int().min(0).nullable(),
	/** Changes now and then while the writer lives. */
	beat: z.int().min(0),
});
export type SessionRecord = z.infer<typeof SessionRecord>;

/** Who reads a point for a longer time: a restore's or a view's own id. */
export const ReaderId = z
	.uuid()
	.transform((text) => text.toLowerCase())
	.brand<"ReaderId">();
export type ReaderId = z.infer<typeof ReaderId>;

/** A live reader: `readers/<readerId>`. What it reads is not freed, also when it is pruned. */
export const ReaderRecord = z.strictObject({
	pointId: PointId,
	/** Changes now and then while the reader lives. */
	beat: z.int().min(0),
});
export type ReaderRecord = z.infer<typeof ReaderRecord>;

/** One round of collection: `collections/<n>`. Finished ones keep their number taken. */
export const CollectionRecord = z.strictObject({
	finished: z.boolean(),
	/** Packs that nothing, or little, needed when the round marked. Nobody may make new use of them. */
	condemned: z.array(PackIdText).max(10_000_000),
	/** Pruned points whose manifests go with them. */
	points: z.array(PointId).max(1_000_000),
	/** Owns the packs into which this round moves what is left of others (`packOwner`). */
	roundId: z.uuid(),
	/** By the clock of who marked. Only tells how long a session was silent; no deletion depends on it. */
	markedAt: TimestampMs,
	/** The sessions that were there, and their beats: one that has not moved by a later round is dead. */
	sessions: z.array(z.strictObject({ pointId: PointId, beat: z.int().min(0) })).max(100_000),
	/** The same of readers. Rounds of before there were any say nothing of them. */
	readers: z
		.array(z.strictObject({ readerId: ReaderId, beat: z.int().min(0) }))
		.max(100_000)
		.default([]),
});
export type CollectionRecord = z.infer<typeof CollectionRecord>;

/** `collections/latest`: which rounds must be there, so that a lost one is noticed. Rewritten behind them. */
export const LatestRecord = z.strictObject({ oldest: z.int().min(1), newest: z.int().min(0) });
export type LatestRecord = z.infer<typeof LatestRecord>;
export const latestKey = "collections/latest";

/**
 * `collections/locks`, where what is written is locked: when the locks of everything that is needed were last extended, and
 * which could not be. Losing it only costs calls.
 */
export const LocksRecord = z.strictObject({
	renewedAt: TimestampMs,
	failedKeys: z.array(z.string().max(300)).max(1000),
});
export type LocksRecord = z.infer<typeof LocksRecord>;
export const locksKey = "collections/locks";

/**
 * `ledger/<pointId>`: a second witness of what stands at `points/<pointId>`, so that a lost manifest, and a listing that is
 * too short, are noticed. Written before the manifest, after a tombstone; while neither is there, the session is.
 */
export const LedgerRecord = z.discriminatedUnion("is", [
	z.strictObject({
		is: z.literal("point"),
		guestId: GuestId,
		guestName: z.string().max(63),
		takenAt: TimestampMs,
		pruned: z.boolean(),
	}),
	z.strictObject({ is: z.literal("abandoned") }),
]);
export type LedgerRecord = z.infer<typeof LedgerRecord>;

/** What a scrub found damaged in one pack: `suspect/<packId>`. These hashes are not reused from there. */
export const SuspectRecord = z.strictObject({
	hashes: z.array(z.string().regex(/^[0-9a-f]{64}$/, "a hash is 64 hex digits")).max(1_000_000),
});
export type SuspectRecord = z.infer<typeof SuspectRecord>;

/** `pruned/<pointId>`: the point is invisible from now on. */
export const PrunedRecord = z.strictObject({});

export const pointsPrefix = "points/";
export const prunedPrefix = "pruned/";
export const sessionsPrefix = "sessions/";
export const readersPrefix = "readers/";
export const collectionsPrefix = "collections/";
export const ledgerPrefix = "ledger/";
export const suspectPrefix = "suspect/";
export const packsPrefix = "packs/";
export const movedPrefix = "moved/";

export const pointKey = (pointId: PointId) => `${pointsPrefix}${lowerCase(pointId)}`;
export const prunedKey = (pointId: PointId) => `${prunedPrefix}${lowerCase(pointId)}`;
export const sessionKey = (pointId: PointId) => `${sessionsPrefix}${lowerCase(pointId)}`;
export const readerKey = (readerId: ReaderId) => `${readersPrefix}${readerId}`;
export const ledgerKey = (pointId: PointId) => `${ledgerPrefix}${lowerCase(pointId)}`;
export const suspectKey = (packId: PackId) => `${suspectPrefix}${packId}`;
export const movedKey = (packId: PackId) => `${movedPrefix}${packId}`;
/** Ten digits, so that names sort as numbers do. */
export const collectionKey = (number: number) => `${collectionsPrefix}${String(number).padStart(10, "0")}`;

/** The point that a key under `prefix` is of; null for a key that is none. */
export function pointIdOfKey(prefix: string, key: string): PointId | null {
	const text = key.slice(prefix.length);
	const parsed = PointId.safeParse(text);
	return key.startsWith(prefix) && parsed.success && text === text.toLowerCase() ? parsed.data : null;
}

/** The reader that a key is of; null for a key that is none. */
export function readerIdOfKey(key: string): ReaderId | null {
	const parsed = ReaderId.safeParse(key.slice(readersPrefix.length));
	return parsed.success && key === readerKey(parsed.data) ? parsed.data : null;
}

/** The number of a collection's key; null for a key that is none. */
export function collectionNumber(key: string): number | null {
	const match = /^collections\/([0-9]{10})$/.exec(key);
	return match ? Number(match[1]) : null;
}

/** The pack that a key under `suspect/` or `moved/` is of; null for a key that is none. */
export function packIdUnder(prefix: string, key: string): PackId | null {
	const text = key.slice(prefix.length);
	return key.startsWith(prefix) && /^[0-9a-f]{32}$/.test(text) ? parsePackId(text) : null;
}

function lowerCase(pointId: PointId): string {
	if (pointId !== pointId.toLowerCase()) {
		throw new SternaError("invalid", `the id of a point is written in lower case: ${pointId}`);
	}
	return pointId;
}

/** A small sealed JSON object. @throws {SternaError} `not_found`; `invalid` naming it when it is not as it was written. */
export async function readRecord<Schema extends z.ZodType>(
	place: RecordPlace,
	key: string,
	schema: Schema,
): Promise<z.output<Schema>> {
	return parseRecord(place.sealing, key, await place.storage.get(key), schema);
}

export function parseRecord<Schema extends z.ZodType>(
	sealing: Sealing,
	key: string,
	bytes: Uint8Array,
	schema: Schema,
): z.output<Schema> {
	const plain = sealing.openObject(key, bytes);
	const parsed = schema.safeParse(parseJson(plain.toString("utf8"), { maxLength: plain.length, maxDepth: 32 }));
	if (parsed.success) return parsed.data;
	throw new SternaError("invalid", `${key} cannot be used: ${zodSentence(parsed.error)}`, { cause: parsed.error });
}

export function sealRecord(sealing: Sealing, key: string, record: unknown): Buffer {
	return sealing.sealObject(key, Buffer.from(JSON.stringify(record), "utf8"));
}

export async function putRecord(place: RecordPlace, key: string, record: unknown): Promise<void> {
	await place.storage.put(key, sealRecord(place.sealing, key, record));
}

/** @throws {SternaError} `conflict` when the object is there. */
export async function createRecord(place: RecordPlace, key: string, record: unknown): Promise<void> {
	await place.storage.create(key, sealRecord(place.sealing, key, record));
}
