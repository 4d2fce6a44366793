import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { PointReader, Repository } from "./repository.ts";
import { inlineCodec } from "./testing/inline-codec.ts";
import { commitAs, newId, newRepository, PointId, restored, VolumeId } from "./testing/points.ts";

const MiB = 1024 * 1024;
const blockSizes = [4096, 64 * 1024, MiB];

/** One stretch of a run: what a backup is told about some neighbouring blocks, as shares of the disk's length. */
const stretch = fc.record({
	from: fc.double({ min: 0, max: 0.999, noNaN: true }),
	blocks: fc.integer({ min: 1, max: 70 }),
	/** `same` content is written again; `repeated` is content that occurs all over the disk. */
	becomes: fc.constantFrom(
		"random" as const,
		"zeros" as const,
		"zeroRange" as const,
		"same" as const,
		"repeated" as const,
	),
	seed: fc.integer({ min: 1, max: 250 }),
});
const run = fc.record({
	inherit: fc.boolean(),
	grownMiB: fc.constantFrom(0, 0, 0, 1, 3),
	stretches: fc.array(stretch, { maxLength: 6 }),
});
const history = fc.record({
	sizeMiB: fc.integer({ min: 1, max: 5 }),
	runs: fc.array(run, { minLength: 1, maxLength: 4 }),
});

type Of<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;
type Stretch = Of<typeof stretch>;
type History = Of<typeof history>;

const opened = new Map<number, Promise<{ repository: Repository }>>();
const repositoryOf = async (blockSizeBytes: number) => {
	// Blocks of the usual size take the way through the threads.
	const codec = blockSizeBytes === 64 * 1024 ? {} : { codec: inlineCodec() };
	const repository = opened.get(blockSizeBytes) ?? newRepository({ blockSizeBytes, ...codec });
	opened.set(blockSizeBytes, repository);
	return (await repository).repository;
};
afterAll(async () => {
	for (const each of opened.values()) await (await each).repository.close();
});

describe.each(blockSizes)("with blocks of %i bytes", (blockSizeBytes) => {
	test("whatever was written, zeroed, grown and inherited, every point is the disk as it was then", async () => {
		const repository = await repositoryOf(blockSizeBytes);
		const follow = async (steps: History) => {
			const volumeId = newId(VolumeId);
			const kept: { pointId: PointId; disk: Buffer }[] = [];
			let disk = Buffer.alloc(steps.sizeMiB * MiB);
			for (const { inherit, grownMiB, stretches } of steps.runs) {
				const parent = kept.at(-1)?.pointId ?? null;
				const before = inherit && parent ? disk : Buffer.alloc(disk.length);
				disk = Buffer.concat([before, Buffer.alloc(grownMiB * MiB)]);
				const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: parent });
				const writer = session.volume({ volumeId, sizeBytes: disk.length, inherit });
				for (const { from, to, becomes, content } of apart(stretches, disk, blockSizeBytes)) {
					content.copy(disk, from);
					if (becomes === "zeroRange") await writer.zero(from, to - from);
					else await writer.write(from, content);
				}
				await writer.finish();
				await commitAs(session, parent, [volumeId]);
				kept.push({ pointId: session.pointId, disk: Buffer.from(disk) });
			}
			for (const point of kept) {
				expect((await restored(repository, point.pointId, volumeId)).equals(point.disk)).toBe(true);
				const reader = await repository.openPoint(point.pointId);
				await expectReadsAndExtents(reader, volumeId, point.disk, blockSizeBytes);
			}
		};
		await fc.assert(fc.asyncProperty(history, follow), { numRuns: 25 });
	});
});

/** The stretches in rising order, without overlap, cut to the disk; with the content that they bring. */
function apart(stretches: Stretch[], disk: Buffer, blockSizeBytes: number) {
	let free = 0;
	return stretches
		.toSorted((a, b) => a.from - b.from)
		.flatMap(({ from: share, blocks, becomes, seed }) => {
			const wanted = Math.floor((share * disk.length) / blockSizeBytes) * blockSizeBytes;
			const from = Math.max(wanted, free);
			const to = Math.min(from + blocks * blockSizeBytes, disk.length);
			if (to <= from) return [];
			free = to;
			const content = Buffer.from(disk.subarray(from, to));
			if (becomes === "zeros" || becomes === "zeroRange") content.fill(0);
			if (becomes === "repeated") content.fill(seed);
			if (becomes === "random")
				for (let at = 0; at < content.length; at += 64) content.writeUInt32LE(seed * 65_537 + at + 1, at);
			return [{ from, to, becomes, content }];
		});
}

async function expectReadsAndExtents(reader: PointReader, volumeId: VolumeId, disk: Buffer, blockSizeBytes: number) {
	for (const [from, to] of [
		[0, 1],
		[blockSizeBytes - 1, blockSizeBytes + 1],
		[disk.length / 3, (disk.length * 2) / 3],
		[disk.length - 4097, disk.length],
	].map((pair) => pair.map(Math.floor))) {
		const [offset, end] = [from ?? 0, Math.min(to ?? 0, disk.length)];
		const bytes = await reader.read(volumeId, offset, end - offset);
		expect(disk.subarray(offset, end).equals(bytes)).toBe(true);
	}
	let at = 0;
	for await (const { offset, lengthBytes, zero } of reader.extents(volumeId, 0, disk.length)) {
		expect(offset).toBe(at);
		const isZero = disk.subarray(at, at + lengthBytes).equals(Buffer.alloc(lengthBytes));
		expect(zero ? isZero : !isZero).toBe(true);
		at += lengthBytes;
	}
	expect(at).toBe(disk.length);
	await reader.close();
}
