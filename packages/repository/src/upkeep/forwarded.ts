import { type Forwarding, placeKey } from "../format/forwarding.ts";
import type { PackId } from "../format/pack-id.ts";
import type { Place } from "./live-blocks.ts";

/** Whether a note tells of every needed place of a pack, so that the pack itself is needed no more. */
export function isCovered(packId: PackId, needed: readonly Place[], notes: ReadonlyMap<PackId, Forwarding>): boolean {
	const note = notes.get(packId);
	return note !== undefined && needed.every((place) => note.has(placeKey(place)));
}

/** The packs to which the needed places went. */
export function targetsOf(
	packId: PackId,
	needed: readonly Place[],
	notes: ReadonlyMap<PackId, Forwarding>,
): Set<PackId> {
	const note = notes.get(packId);
	return new Set(needed.flatMap((place) => note?.get(placeKey(place))?.packId ?? []));
}
