import { randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { Opened } from "../opened.ts";

/**
 * Tries to delete an object that was written for this. True: it could not be deleted, so nothing that is written now can.
 * False: it could, as it may at a place that is not locked.
 * @throws {SternaError} `wrong_state` when it could although the place says that it is locked; those of the storage.
 */
export async function canary({ storage }: Opened): Promise<boolean> {
	const key = `canary/${randomBytes(12).toString("hex")}`;
	await storage.create(key, randomBytes(16));
	try {
		await storage.remove(key);
	} catch (error) {
		if (error instanceof SternaError && error.code === "forbidden" && storage.locked) return true;
		throw error;
	}
	if ((await storage.size(key)) !== null) {
		throw new SternaError("wrong_state", `${key} was deleted, says the place, and is still there`);
	}
	if (!storage.locked) return false;
	throw new SternaError(
		"wrong_state",
		"what must not be deletable was deleted: the place does not lock what is written",
		{
			cure: "make the bucket with Object Lock, and see that the server honours compliance mode",
		},
	);
}
