import type { RepositoryUsage } from "@sterna/shared/backup";
import type { Opened } from "../opened.ts";
import { listPoints } from "./points.ts";

/** What the repository holds, and what the place says of itself. */
export async function usageOf(opened: Opened): Promise<RepositoryUsage> {
	const { points, unreadable } = await listPoints(opened);
	let storedBytes = 0;
	for await (const { sizeBytes } of opened.storage.list("")) storedBytes += sizeBytes;
	return {
		at: Date.now(),
		points: points.length + unreadable.length,
		guests: new Set(points.map(({ guestId }) => guestId)).size,
		logicalBytes: points.reduce((sum, { volumes }) => sum + volumes.reduce((all, each) => all + each.sizeBytes, 0), 0),
		storedBytes,
		...(await opened.storage.capacity()),
		immutability: opened.storage.locked ? "locked" : "none",
	};
}
