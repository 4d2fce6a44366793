import { KiB, MiB } from "@sterna/shared/units";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ChunkCache } from "./chunk-cache.ts";

/** A disk whose every byte tells its place, and a count of what was read of it. */
function disk(sizeBytes: number) {
	const reads: { offset: number; lengthBytes: number }[] = [];
	const content = Buffer.from(Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
	const read = async (offset: number, lengthBytes: number) => {
		reads.push({ offset, lengthBytes });
		if (offset + lengthBytes > sizeBytes) throw new Error("behind the end");
		return content.subarray(offset, offset + lengthBytes);
	};
	return { content, reads, read };
}

test("reads of any size and place give what is there, with little memory too", async () => {
	const sizeBytes = 3 * MiB + 12_345;
	const { content, read } = disk(sizeBytes);
	const ranges = fc
		.tuple(fc.nat(sizeBytes - 1), fc.integer({ min: 1, max: MiB }))
		.map(([offset, length]) => ({ offset, lengthBytes: Math.min(length, sizeBytes - offset) }));
	await fc.assert(
		fc.asyncProperty(fc.array(ranges, { minLength: 1, maxLength: 20 }), async (all) => {
			const cache = new ChunkCache({ sizeBytes, read, keptBytes: MiB });
			const found = await Promise.all(all.map(({ offset, lengthBytes }) => cache.read(offset, lengthBytes)));
			for (const [index, { offset, lengthBytes }] of all.entries()) {
				expect(content.subarray(offset, offset + lengthBytes).equals(found[index] ?? Buffer.alloc(0))).toBe(true);
			}
		}),
		{ seed: 4, numRuns: 50 },
	);
});

test("small reads that lie together are fetched once, and reading in order fetches ahead", async () => {
	const { reads, read } = disk(4 * MiB);
	const cache = new ChunkCache({ sizeBytes: 4 * MiB, read });
	await Promise.all(Array.from({ length: 64 }, (_, at) => cache.read(at * 4 * KiB, 4 * KiB)));
	expect(reads).toEqual([{ offset: 0, lengthBytes: 512 * KiB }]);
	await cache.read(512 * KiB, 4 * KiB);
	expect(reads.map(({ offset }) => offset)).toEqual([0, 512 * KiB, 1024 * KiB]);
});

test("what failed is asked for again", async () => {
	let fails = true;
	const cache = new ChunkCache({
		sizeBytes: MiB,
		read: async (_offset, lengthBytes) => {
			if (fails) throw new Error("away");
			return new Uint8Array(lengthBytes);
		},
	});
	await expect(cache.read(0, 512)).rejects.toThrow("away");
	fails = false;
	expect(await cache.read(0, 512)).toEqual(new Uint8Array(512));
});
