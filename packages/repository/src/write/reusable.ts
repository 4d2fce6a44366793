import { SternaError } from "@sterna/shared/errors";
import type { PackId } from "../format/pack-id.ts";
import { packIdOfKey, packKind, packOwner } from "../format/pack-id.ts";
import {
	CollectionRecord,
	collectionNumber,
	collectionsPrefix,
	packIdUnder,
	packsPrefix,
	readRecord,
	SuspectRecord,
	suspectPrefix,
} from "../format/records.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { listPoints } from "../read/points.ts";
import type { HashTable } from "./hash-table.ts";

const readsInFlight = 16;

/** What a session must not make new use of: packs that a collection has condemned, blocks that a scrub found damaged. */
export interface Unusable {
	/** The highest collection that was looked at; 0 for none. */
	sawCollection: number;
	condemned: Set<PackId>;
	/** A collection's record cannot be read: what it condemned is unknown, so only what the parent refers to is reused. */
	condemnedUnknown: boolean;
	suspects: Map<PackId, Set<string>>;
}

/** The collections that there are, and what they condemned. */
export async function readCondemned(opened: Opened): Promise<Omit<Unusable, "suspects">> {
	let sawCollection = 0;
	const condemned = new Set<PackId>();
	let condemnedUnknown = false;
	for await (const { key } of opened.storage.list(collectionsPrefix)) {
		const number = collectionNumber(key);
		if (number === null) continue;
		sawCollection = Math.max(sawCollection, number);
		const record = await unlessGone(readRecord(opened, key, CollectionRecord)).catch((error: unknown) => {
			if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
			condemnedUnknown = true;
			return null;
		});
		if (record && !record.finished) for (const packId of record.condemned) condemned.add(packId);
	}
	return { sawCollection, condemned, condemnedUnknown };
}

/** What scrubs found damaged. */
export async function readSuspects(opened: Opened): Promise<Unusable["suspects"]> {
	const suspects: Unusable["suspects"] = new Map();
	for await (const { key } of opened.storage.list(suspectPrefix)) {
		const packId = packIdUnder(suspectPrefix, key);
		const record = packId && (await unlessGone(readRecord(opened, key, SuspectRecord)));
		if (record) suspects.set(packId, new Set(record.hashes));
	}
	return suspects;
}

/**
 * The block where it may be referred to from a new point; null when it must be stored again. A block of a compacted pack is
 * used where it is now.
 */
export async function usable(opened: Opened, unusable: Unusable, reference: Reference): Promise<Reference | null> {
	if (isUsable(unusable, reference)) return reference;
	const moved = await opened.packs.moved(reference);
	return moved && isUsable(unusable, moved) ? moved : null;
}

/** Whether the block may be used where it is: the answer for almost all. */
export function isUsable(
	{ condemned, suspects }: Pick<Unusable, "condemned" | "suspects">,
	{ packId, hash }: Reference,
): boolean {
	if (condemned.has(packId)) return false;
	const damaged = suspects.get(packId);
	return !damaged?.has(Buffer.from(hash).toString("hex"));
}

/** Fills the table from the directories of data packs, those of the newest points first, until it is full. */
export async function loadKnownBlocks(opened: Opened, unusable: Unusable, table: HashTable): Promise<void> {
	if (unusable.condemnedUnknown) return;
	const { points } = await listPoints(opened);
	const age = new Map(
		points.toSorted((a, b) => b.finishedAt - a.finishedAt).map(({ pointId }, index) => [packOwner(pointId), index]),
	);
	const packs: { packId: PackId; sizeBytes: number; age: number }[] = [];
	for await (const { key, sizeBytes } of opened.storage.list(packsPrefix)) {
		const packId = packIdOfKey(key);
		if (!packId || packKind(packId) !== "data" || unusable.condemned.has(packId)) continue;
		packs.push({ packId, sizeBytes, age: age.get(packId.slice(0, 16)) ?? points.length });
	}
	packs.sort((a, b) => a.age - b.age);
	const next = packs.values();
	const load = async () => {
		for (const { packId, sizeBytes } of next) {
			if (table.full) return;
			for (const entry of await directoryOrNothing(opened, packId, sizeBytes)) {
				const reference = { ...entry, packId };
				if (isUsable(unusable, reference)) table.add(reference);
			}
		}
	};
	await Promise.all(Array.from({ length: readsInFlight }, load));
}

/** A damaged pack offers nothing for reuse; naming the damage is a scrub's work. */
async function directoryOrNothing(opened: Opened, packId: PackId, sizeBytes: number) {
	try {
		return await opened.packs.directory(packId, sizeBytes);
	} catch (error) {
		if (error instanceof SternaError && (error.code === "invalid" || error.code === "not_found")) return [];
		throw error;
	}
}

/** Null for an object that went between listing and reading. */
async function unlessGone<Record>(reading: Promise<Record>): Promise<Record | null> {
	try {
		return await reading;
	} catch (error) {
		if (error instanceof SternaError && error.code === "not_found") return null;
		throw error;
	}
}
