import { randomInt } from "node:crypto";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { type Manifest, PointRecord, readPoint } from "../format/manifest.ts";
import { pointKey, putRecord, type ReaderId, ReaderRecord, readerKey } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { readRounds } from "../upkeep/rounds.ts";
import { findRecord } from "../upkeep/small-object.ts";
import { noSuchPoint, readVisiblePoint } from "./points.ts";

const beatEveryMs = 5 * 60_000;
const beats = 2 ** 47;

/** What keeps collections from freeing a point while it is read: `readers/<readerId>`, rewritten now and then. */
export interface Hold {
	/** Ends rewriting. The object stays until `endReading`, or until a collection finds it unchanged for too long. */
	stop(): Promise<void>;
}

/**
 * Holds a point and reads its manifest. The object is there before the mark of a pruned point is looked for; a collection
 * lists the marks before the readers. So whoever saw no mark is seen by every collection that sees one.
 *
 * A reader that was here before goes on although its point was pruned meanwhile.
 * @throws {SternaError} `not_found` when the point is not visible, or was freed; `conflict` when the reader holds another one.
 */
export async function holdPoint(
	opened: Opened,
	{ pointId, readerId }: { pointId: PointId; readerId: ReaderId },
): Promise<{ manifest: Manifest; hold: Hold }> {
	const key = readerKey(readerId);
	const before = await findRecord(opened, key, ReaderRecord);
	if (before.is === "there" && before.value.pointId !== pointId) {
		throw new SternaError("conflict", `reader ${readerId} holds another recovery point: ${before.value.pointId}`, {
			cure: "end that reading first, or read under an id of its own",
		});
	}
	await beat(opened, key, pointId).catch((error: unknown) => {
		const { code } = asSternaError(error);
		if (code !== "forbidden" && code !== "no_capacity") throw error;
	});
	try {
		const manifest = await (before.is === "there" ? readHeldPoint(opened, pointId) : readVisiblePoint(opened, pointId));
		return { manifest, hold: keepBeating(opened, key, pointId) };
	} catch (error) {
		// Best effort: one that stays is found dead by a later collection.
		if (asSternaError(error).code === "not_found") await opened.storage.remove(key).catch(() => {});
		throw error;
	}
}

/** See `Repository.endReading`. */
export async function endReading(opened: Opened, readerId: ReaderId): Promise<void> {
	await opened.storage.remove(readerKey(readerId));
}

/**
 * Whether a collection frees the point, or has: then what is missing of it is no damage. The rounds first: one that is finished
 * has taken the manifest away.
 */
export async function isFreed(opened: Opened, pointId: PointId): Promise<boolean> {
	const rounds = await readRounds(opened);
	if (rounds.some(({ record }) => record?.points.includes(pointId))) return true;
	const found = await findRecord(opened, pointKey(pointId), PointRecord);
	return found.is === "gone" || (found.is === "there" && found.value.is === "abandoned");
}

/** Held already, so it may be pruned by now. */
async function readHeldPoint(opened: Opened, pointId: PointId): Promise<Manifest> {
	if (await isFreed(opened, pointId)) throw noSuchPoint(pointId);
	const record = await readPoint(opened, pointId);
	if (record.is === "point") return record;
	throw noSuchPoint(pointId);
}

/** Any other number does; chance, so that two lives of one reader never agree on one by counting. */
function beat(opened: Opened, key: string, pointId: PointId): Promise<void> {
	return putRecord(opened, key, { pointId, beat: randomInt(beats) } satisfies ReaderRecord);
}

function keepBeating(opened: Opened, key: string, pointId: PointId): Hold {
	let writing: Promise<void> = Promise.resolve();
	const timer = setInterval(() => {
		// Best effort. Written also where a collection took it away: unless the point was pruned by then, it is held again.
		writing = writing.then(() => beat(opened, key, pointId)).catch(() => {});
	}, beatEveryMs);
	timer.unref();
	return {
		async stop() {
			clearInterval(timer);
			await writing;
		},
	};
}
