import { createCipheriv } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { createRepository } from "@sterna/repository/open";
import type { Repository } from "@sterna/repository/repository";
import { openDirectory, prepareDirectory } from "@sterna/repository/storage/directory";
import { GuestId, HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";

const MiB = 1024 * 1024;
const diskBytes = 4096 * MiB;
const dataBytes = 1024 * MiB;
const pieceBytes = 64 * 1024;
const changedShare = 0.05;

interface Measured {
	wallS: number;
	cpuS: number;
}
export interface RepositoryFigures {
	blockSizeBytes: number;
	full: Measured & { storedBytes: number; treeBytes: number };
	incremental: Measured & { storedBytes: number; treeBytes: number; changedBytes: number };
	restore: Measured;
	maxRssBytes: number;
}

/**
 * The repository alone, without a guest: a disk of 4 GiB with 1 GiB of data, half of it random, half compressible; then 5 %
 * of the data changed in scattered pieces of 64 KiB; then a restore into a file. Reads come from the page cache.
 */
export async function repositoryBench(
	folder: string,
	blockSizesBytes: readonly number[],
	say: (line: string) => void,
): Promise<RepositoryFigures[]> {
	const work = await mkdtemp(join(folder, "bench-repository-"));
	try {
		const disk = join(work, "disk.raw");
		const source = await makeDisk(disk);
		const figures: RepositoryFigures[] = [];
		for (const blockSizeBytes of blockSizesBytes) {
			say(`blocks of ${blockSizeBytes / 1024} KiB`);
			figures.push(await measure(work, source, blockSizeBytes));
		}
		await source.close();
		return figures;
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}

type Disk = Awaited<ReturnType<typeof open>>;

async function measure(work: string, source: Disk, blockSizeBytes: number): Promise<RepositoryFigures> {
	const place = await mkdtemp(join(work, "repository-"));
	await prepareDirectory(place);
	const storage = await openDirectory(place);
	const key = await formatRepositoryKey(new Uint8Array(32).fill(blockSizeBytes / 4096));
	const repository = await createRepository(storage, { repositoryId: newId(RepositoryId), key, blockSizeBytes });
	const volumeId = newId(VolumeId);
	const first = newId(PointId);
	try {
		const full = await timed(() => backUp(repository, source, volumeId, first, null, null));
		const afterFull = await stored(repository);
		const changed = await change(source);
		const second = newId(PointId);
		const incremental = await timed(() => backUp(repository, source, volumeId, second, first, changed));
		const afterIncremental = await stored(repository);
		const restore = await timed(() => restoreTo(repository, second, volumeId, join(work, "restored.raw")));
		return {
			blockSizeBytes,
			full: { ...full, ...afterFull },
			incremental: {
				...incremental,
				storedBytes: afterIncremental.storedBytes - afterFull.storedBytes,
				treeBytes: afterIncremental.treeBytes - afterFull.treeBytes,
				changedBytes: changed.size * pieceBytes,
			},
			restore,
			maxRssBytes: process.resourceUsage().maxRSS * 1024,
		};
	} finally {
		await repository.close();
		await rm(place, { recursive: true, force: true });
	}
}

async function backUp(
	repository: Repository,
	source: Disk,
	volumeId: VolumeId,
	pointId: PointId,
	parentPointId: PointId | null,
	changed: Set<number> | null,
): Promise<void> {
	const session = await repository.beginSession({ pointId, parentPointId });
	const writer = session.volume({ volumeId, sizeBytes: diskBytes, inherit: changed !== null });
	const step = changed ? repository.blockSizeBytes : MiB;
	const buffer = new Uint8Array(step);
	for (let at = 0; at < dataBytes; at += step) {
		if (changed && !touched(changed, at, step)) continue;
		await source.read(buffer, 0, step, at);
		await writer.write(at, buffer);
	}
	if (!changed) await writer.zero(dataBytes, diskBytes - dataBytes);
	await writer.finish();
	const guestId = newId(GuestId);
	await session.commit(
		{
			pointId,
			guestId,
			guestName: "bench",
			hostId: newId(HostId),
			takenAt: 1,
			finishedAt: 2,
			parentPointId,
			consistency: "stopped",
			consistencyRemark: null,
			spec: {
				id: guestId,
				name: "bench",
				vcpus: 1,
				memoryBytes: 1024 * MiB,
				boot: { from: "disk" },
				volumes: [{ id: volumeId, pool: "local", sizeBytes: diskBytes }],
				nics: [],
			},
		},
		new Map([[volumeId, { read: changed ? "changes" : "whole", reason: changed ? "unchangedChain" : "firstBackup" }]]),
	);
}

function touched(changed: Set<number>, at: number, length: number): boolean {
	for (let piece = at / pieceBytes; piece < (at + length) / pieceBytes; piece++) if (changed.has(piece)) return true;
	return false;
}

/** Writes a new piece at scattered places that are drawn from a fixed seed. */
async function change(source: Disk): Promise<Set<number>> {
	const pieces = dataBytes / pieceBytes;
	const changed = new Set<number>();
	const random = keystream("places");
	while (changed.size < Math.round(pieces * changedShare)) changed.add(random(4).readUInt32LE() % pieces);
	const content = keystream("changes");
	for (const piece of changed) await source.write(content(pieceBytes), 0, pieceBytes, piece * pieceBytes);
	return changed;
}

async function restoreTo(repository: Repository, pointId: PointId, volumeId: VolumeId, path: string): Promise<void> {
	const reader = await repository.openPoint(pointId);
	const target = await open(path, "w");
	try {
		await target.truncate(diskBytes);
		const sink = async (offset: number, data: Uint8Array) => void (await target.write(data, 0, data.length, offset));
		await reader.restore(volumeId, sink, { signal: AbortSignal.any([]) });
	} finally {
		await target.close();
		await reader.close();
	}
}

/** Half random, half words in random order, which zstd makes about three times smaller. */
async function makeDisk(path: string): Promise<Disk> {
	const disk = await open(path, "w+");
	await disk.truncate(diskBytes);
	const random = keystream("content");
	const words = Array.from({ length: 4096 }, (_, index) => `${random(3 + (index % 7)).toString("hex")} `);
	for (let at = 0; at < dataBytes; at += MiB) {
		const compressible = (at / MiB) % 2 === 1;
		await disk.write(compressible ? text(words, random) : random(MiB), 0, MiB, at);
	}
	return disk;
}

function text(words: string[], random: (bytes: number) => Buffer): Buffer {
	const indexes = random(2 * 131_072);
	let made = "";
	for (let at = 0; made.length < MiB; at += 2) made += words[indexes.readUInt16LE(at) % words.length];
	return Buffer.from(made.slice(0, MiB), "latin1");
}

/** Bytes that look random and are the same in every run. */
function keystream(seed: string): (bytes: number) => Buffer {
	const cipher = createCipheriv("aes-128-ctr", Buffer.from(seed.padEnd(16)), Buffer.alloc(16));
	return (bytes) => cipher.update(Buffer.alloc(bytes));
}

/** Packs of trees have a first half-byte of 8 or more in their own half of the name. */
async function stored(repository: Repository): Promise<{ storedBytes: number; treeBytes: number }> {
	let storedBytes = 0;
	let treeBytes = 0;
	for await (const { key, sizeBytes } of repository.storage.list("")) {
		storedBytes += sizeBytes;
		if (/^packs\/[0-9a-f]{16}\/[89a-f]/.test(key)) treeBytes += sizeBytes;
	}
	return { storedBytes, treeBytes };
}

async function timed(run: () => Promise<unknown>): Promise<Measured> {
	const [started, cpu] = [performance.now(), process.cpuUsage()];
	await run();
	const { user, system } = process.cpuUsage(cpu);
	return { wallS: (performance.now() - started) / 1000, cpuS: (user + system) / 1e6 };
}
