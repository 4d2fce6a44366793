import { randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { Storage } from "../storage.ts";

/**
 * Finds out whether a place keeps the promise on which every commit rests: of two creations of one key the second is
 * refused. Some S3 servers ignore the condition and let the second replace the first. To be asked before a repository is made.
 * @throws {SternaError} `incompatible` when the place does not; those of the storage.
 */
export async function checkPlace(storage: Storage): Promise<void> {
	const key = `probe/${randomBytes(12).toString("hex")}`;
	await storage.create(key, randomBytes(16));
	try {
		await storage.create(key, randomBytes(16));
	} catch (error) {
		if (error instanceof SternaError && error.code === "conflict") return;
		throw error;
	} finally {
		await storage.remove(key);
	}
	throw new SternaError("incompatible", "this place lets a second writer replace an object that must be created once", {
		cure: "use a bucket whose server honours If-None-Match on PUT (Amazon S3, MinIO, Ceph 17 with versions or 16 without, …) or a folder",
	});
}
