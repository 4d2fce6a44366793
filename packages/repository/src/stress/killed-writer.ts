import { parseArgs } from "node:util";
import { HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { openRepository } from "../open.ts";
import type { Repository } from "../repository.ts";
import { openDirectory } from "../storage/directory.ts";
import { pointOf, testKey } from "../testing/points.ts";

export const volumeId = VolumeId.parse("6f1d3a51-6d0f-4c39-8a52-2f0d5c1b7a10");
export const blockSizeBytes = 64 * 1024;
const blocks = 16;
const kept = 4;

/** What point number n holds: each point differs from the one before in a seventh of its blocks. */
export function contentOf(n: number): Uint8Array {
	const content = new Uint8Array(blocks * blockSizeBytes);
	for (let block = 0; block < blocks; block++) content.set(blockOf(n, block), block * blockSizeBytes);
	return content;
}

function blockOf(n: number, block: number): Uint8Array {
	const version = Math.floor((n + block) / 7);
	return Uint8Array.from({ length: blockSizeBytes }, (_, at) => (at * (version + 1) + block) % 251);
}

/** Backs up, prunes and collects until somebody kills it. Says the number of each point that it has committed. */
async function live(repository: Repository): Promise<never> {
	for (;;) {
		const points = (await repository.points()).points.toSorted((a, b) => b.takenAt - a.takenAt);
		const parent = points[0] ?? null;
		const n = (parent?.takenAt ?? 0) + 1;
		const content = contentOf(n);
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: parent?.pointId ?? null });
		const writer = session.volume({ volumeId, sizeBytes: content.length, inherit: parent !== null });
		for (let block = 0; block < blocks; block++) {
			if (parent && Math.floor((n + block) / 7) === Math.floor((n - 1 + block) / 7)) continue;
			await writer.write(
				block * blockSizeBytes,
				content.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes),
			);
		}
		await writer.finish();
		const point = { ...pointOf(session.pointId, parent?.pointId ?? null, [volumeId], n), hostId: newId(HostId) };
		await session.commit(point, new Map([[volumeId, { read: "changes", reason: "unchangedChain" }]]));
		process.stdout.write(`${n}\n`);
		await repository.prune(points.slice(kept).map(({ pointId }) => pointId));
		if (n % 2 === 0) await repository.collect({ signal: AbortSignal.any([]) });
	}
}

if (import.meta.main) {
	const { folder = "", repositoryId } = parseArgs({
		options: { folder: { type: "string" }, repositoryId: { type: "string" } },
	}).values;
	await live(
		await openRepository(await openDirectory(folder), { repositoryId: RepositoryId.parse(repositoryId), key: testKey }),
	);
}
