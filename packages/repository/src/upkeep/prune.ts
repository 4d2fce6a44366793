import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { PointRecord } from "../format/manifest.ts";
import {
	createRecord,
	LedgerRecord,
	ledgerKey,
	pointKey,
	prunedKey,
	putRecord,
	sessionKey,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { findRecord } from "./small-object.ts";

/**
 * Makes points invisible at once and for good. What is not there is passed over; of a point whose manifest was lost the last
 * witness goes, so that collections go on.
 */
export async function prune(opened: Opened, pointIds: readonly PointId[]): Promise<void> {
	for (const pointId of pointIds) {
		const found = await lookAt(opened, pointId);
		if (found === "point") await markPruned(opened, pointId);
		else if (found === "nothing" && (await isWithoutWriter(opened, pointId))) {
			await opened.storage.remove(ledgerKey(pointId));
		}
	}
}

/** The session goes after the point is there: so in this order no commit is missed. */
async function isWithoutWriter(opened: Opened, pointId: PointId): Promise<boolean> {
	if ((await opened.storage.size(sessionKey(pointId))) !== null) return false;
	return (await opened.storage.size(pointKey(pointId))) === null;
}

async function markPruned(opened: Opened, pointId: PointId): Promise<void> {
	await createRecord(opened, prunedKey(pointId), {}).catch(passConflict);
	const entry = await findRecord(opened, ledgerKey(pointId), LedgerRecord);
	if (entry.is !== "there" || entry.value.is !== "point") return;
	await putRecord(opened, ledgerKey(pointId), { ...entry.value, pruned: true });
}

/** A manifest that cannot be read is one, too: whoever names it wants it gone. */
async function lookAt(opened: Opened, pointId: PointId): Promise<"point" | "abandoned" | "nothing"> {
	const found = await findRecord(opened, pointKey(pointId), PointRecord);
	if (found.is === "gone") return "nothing";
	return found.is === "there" ? found.value.is : "point";
}

function passConflict(error: unknown): void {
	if (!(error instanceof SternaError) || error.code !== "conflict") throw error;
}
