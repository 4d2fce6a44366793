import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { readPoint } from "../format/manifest.ts";
import {
	createRecord,
	LedgerRecord,
	ledgerKey,
	pointKey,
	prunedKey,
	putRecord,
	readRecord,
	sessionKey,
} from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { nullIfGone } from "./gone.ts";

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
	await createRecord(opened, prunedKey(pointId), {}).catch(passIf("conflict"));
	const entry = await readRecord(opened, ledgerKey(pointId), LedgerRecord).catch(passIf("not_found", "invalid"));
	if (entry?.is === "point") await putRecord(opened, ledgerKey(pointId), { ...entry, pruned: true });
}

/** A manifest that cannot be read is one, too: whoever names it wants it gone. */
async function lookAt(opened: Opened, pointId: PointId): Promise<"point" | "abandoned" | "nothing"> {
	try {
		const record = await readPoint(opened, pointId).catch(nullIfGone);
		return record?.is ?? "nothing";
	} catch (error) {
		if (error instanceof SternaError && error.code === "invalid") return "point";
		throw error;
	}
}

function passIf(...codes: string[]): (error: unknown) => null {
	return (error) => {
		if (error instanceof SternaError && codes.includes(error.code)) return null;
		throw error;
	};
}
