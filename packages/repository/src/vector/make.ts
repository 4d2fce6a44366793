import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { GuestId, HostId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { createRepository } from "../open.ts";
import type { Repository } from "../repository.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";

/**
 * Makes `format-1.json`: a tiny repository as format 1 wrote it, which every later release must read. It was made once and is
 * not made again: `node packages/repository/src/vector/make.ts` is for a format 2 only.
 *
 * Two points of one disk of 1 MiB in blocks of 4 KiB; between them the repository's key was replaced. The first has a frame
 * of four blocks that is compressed and one of two that is not, the second a frame of one.
 */
const blockBytes = 4096;
const key = await formatRepositoryKey(new Uint8Array(32).fill(0xa5));
const oldKey = await formatRepositoryKey(new Uint8Array(32).fill(0x5a));
const guestId = GuestId.parse("33333333-0000-4000-8000-000000000003");
const volumeId = VolumeId.parse("44444444-0000-4000-8000-000000000004");
const pointIds = ["11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"].map((id) =>
	PointId.parse(id),
);

/** Incompressible content from a seed. */
function noise(seed: string): Buffer {
	return Buffer.concat(
		Array.from({ length: blockBytes / 32 }, (_, at) => createHash("sha256").update(`${seed}${at}`).digest()),
	);
}

async function write(repository: Repository, at: 0 | 1, blocks: Map<number, Buffer>): Promise<void> {
	const [pointId, parentPointId] = [pointIds[at], at === 0 ? null : pointIds[0]];
	if (!pointId || parentPointId === undefined) throw new Error("there are two points");
	const session = await repository.beginSession({ pointId, parentPointId });
	const writer = session.volume({ volumeId, sizeBytes: 1024 * 1024, inherit: at === 1 });
	for (const [block, content] of blocks) await writer.write(block * blockBytes, content);
	await writer.finish();
	const volume = { id: volumeId, pool: "local", sizeBytes: 1024 * 1024 };
	const machine = {
		vcpus: 1,
		memoryBytes: 64 * 1024 * 1024,
		boot: { from: "disk" as const },
		volumes: [volume],
		nics: [],
	};
	await session.commit(
		{
			pointId,
			guestId,
			guestName: "vector",
			hostId: HostId.parse("55555555-0000-4000-8000-000000000005"),
			takenAt: 1_700_000_000_000 + at,
			finishedAt: 1_700_000_001_000 + at,
			parentPointId,
			consistency: "stopped",
			consistencyRemark: null,
			spec: { id: guestId, name: "vector", ...machine },
		},
		new Map([[volumeId, { read: "whole", reason: "askedFor" }]]),
	);
}

const storage = new MemoryStorage();
const repositoryId = RepositoryId.parse("66666666-0000-4000-8000-000000000006");
const made = {
	repositoryId,
	key: oldKey,
	blockSizeBytes: blockBytes,
	createdAt: 1_700_000_000_000,
	codec: inlineCodec(),
};
const repository = await createRepository(storage, made);
const disk = Buffer.alloc(1024 * 1024);
const digests: string[] = [];
const steps = [
	new Map([
		[0, Buffer.alloc(blockBytes, "the first block ")],
		[1, noise("one")],
		[200, Buffer.alloc(blockBytes, "far behind ")],
		[201, noise("two")],
		[202, noise("three")],
		[203, noise("four")],
	]),
	new Map([
		[0, Buffer.alloc(blockBytes)],
		[40, Buffer.alloc(blockBytes, "new in the second point ")],
	]),
] as const;
for (const at of [0, 1] as const) {
	if (at === 1) await repository.replaceKey(key);
	await write(repository, at, steps[at]);
	for (const [block, content] of steps[at]) content.copy(disk, block * blockBytes);
	digests.push(createHash("sha256").update(disk).digest("hex"));
}
const objects = Object.fromEntries(
	[...storage.objects].map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")]),
);
const points = pointIds.map((pointId, at) => ({ pointId, volumeId, sha256: digests[at] }));
const text = JSON.stringify({ key, repositoryId, points, objects }, null, "\t");
await writeFile(new URL("format-1.json", import.meta.url), `${text}\n`);
