import fc from "fast-check";
import { expect, test } from "vitest";
import { planReads, type ReadPiece, type StatusExtent } from "./plan-reads.ts";

async function* stream(extents: StatusExtent[]) {
	yield* extents;
}

/** Neighbouring extents of the given lengths and flags, up to the size. */
function extentsOf(parts: readonly { lengthBytes: number; flags: number }[], sizeBytes: number): StatusExtent[] {
	const extents: StatusExtent[] = [];
	let offset = 0;
	for (const { lengthBytes, flags } of parts) {
		if (offset >= sizeBytes) break;
		const length = Math.min(lengthBytes, sizeBytes - offset);
		extents.push({ offset, lengthBytes: length, flags });
		offset += length;
	}
	return extents;
}

async function collect(pieces: AsyncIterable<ReadPiece>): Promise<ReadPiece[]> {
	const all: ReadPiece[] = [];
	for await (const piece of pieces) all.push({ ...piece });
	return all;
}

test("changed data is read, changed zeros are told, what did not change is left", async () => {
	const sizeBytes = 6 * 64;
	const allocation = extentsOf(
		[
			{ lengthBytes: 128, flags: 0 },
			{ lengthBytes: 192, flags: 3 },
			{ lengthBytes: 64, flags: 0 },
		],
		sizeBytes,
	);
	const changes = extentsOf(
		[
			{ lengthBytes: 192, flags: 1 },
			{ lengthBytes: 192, flags: 0 },
		],
		sizeBytes,
	);
	const disk = { sizeBytes, blockSizeBytes: 64, allocation: stream(allocation), changes: stream(changes) };
	expect(await collect(planReads(disk))).toEqual([
		{ offset: 0, lengthBytes: 128, do: "read" },
		{ offset: 128, lengthBytes: 64, do: "zero" },
		{ offset: 192, lengthBytes: 192, do: "leave" },
	]);
});

test("without a map of changes everything that is data is read and everything else is zeros", async () => {
	const allocation = extentsOf(
		[
			{ lengthBytes: 100, flags: 3 },
			{ lengthBytes: 500, flags: 0 },
		],
		300,
	);
	const disk = { sizeBytes: 300, blockSizeBytes: 64, allocation: stream(allocation), changes: null };
	expect(await collect(planReads(disk))).toEqual([
		{ offset: 0, lengthBytes: 64, do: "zero" },
		{ offset: 64, lengthBytes: 236, do: "read" },
	]);
});

test("for any two maps every changed byte is covered, data is never told as zeros, and pieces are whole blocks in order", async () => {
	const part = (flags: number[]) =>
		fc.record({ lengthBytes: fc.integer({ min: 1, max: 40 }), flags: fc.constantFrom(...flags) });
	const disks = fc.record({
		sizeBytes: fc.integer({ min: 1, max: 300 }),
		blockSizeBytes: fc.constantFrom(1, 8, 16),
		allocation: fc.array(part([0, 1, 2, 3]), { maxLength: 30 }),
		changes: fc.option(fc.array(part([0, 1]), { maxLength: 30 })),
	});
	await fc.assert(
		fc.asyncProperty(disks, async ({ sizeBytes, blockSizeBytes, ...maps }) => {
			const allocation = extentsOf(maps.allocation, sizeBytes);
			const changes = maps.changes && extentsOf(maps.changes, sizeBytes);
			const pieces = await collect(
				planReads({ sizeBytes, blockSizeBytes, allocation: stream(allocation), changes: changes && stream(changes) }),
			);
			const flagsAt = (extents: StatusExtent[], at: number, otherwise: number) =>
				extents.find(({ offset, lengthBytes }) => at >= offset && at < offset + lengthBytes)?.flags ?? otherwise;
			const expected = Array.from({ length: Math.ceil(sizeBytes / blockSizeBytes) }, (_, block) => {
				const bytes = Array.from(
					{ length: Math.min(blockSizeBytes, sizeBytes - block * blockSizeBytes) },
					(_unused, index) => block * blockSizeBytes + index,
				);
				const changed = bytes.some((at) => !changes || (flagsAt(changes, at, 1) & 1) !== 0);
				const zero = bytes.every((at) => (flagsAt(allocation, at, 0) & 2) !== 0);
				return changed ? (zero ? "zero" : "read") : "leave";
			});
			let offset = 0;
			const told: string[] = [];
			for (const [index, piece] of pieces.entries()) {
				expect(piece.offset).toBe(offset);
				expect(piece.do).not.toBe(pieces[index - 1]?.do);
				offset += piece.lengthBytes;
				for (let at = piece.offset; at < offset; at += blockSizeBytes) told.push(piece.do);
			}
			expect(offset).toBe(sizeBytes);
			expect(told).toEqual(expected);
		}),
		{ seed: 8, numRuns: 300 },
	);
});
