import { describe, expect, test } from "vitest";
import { KiB, packOf, withPoint } from "../testing/point-in-memory.ts";

describe("packs", () => {
	const changes: [string, "data" | "tree", (bytes: Uint8Array) => Uint8Array | null][] = [
		["a bit of a block changed", "data", (bytes) => bytes.with(100_000, (bytes[100_000] ?? 0) ^ 0x10)],
		["the number of a block changed", "data", (bytes) => bytes.with(24, (bytes[24] ?? 0) ^ 1)],
		["the data key of a block changed", "data", (bytes) => bytes.with(27, 7)],
		["cut in the middle", "data", (bytes) => bytes.subarray(0, bytes.length / 2)],
		["empty", "data", () => new Uint8Array()],
		["gone", "data", () => null],
		["a bit of a node changed", "tree", (bytes) => bytes.with(60, (bytes[60] ?? 0) ^ 1)],
		["a tree cut", "tree", (bytes) => bytes.subarray(0, 40)],
		["a tree gone", "tree", () => null],
	];

	test.each(changes)(
		"%s (%s): the restore names volume and bytes, and yields nothing wrong",
		async (_what, kind, change) => {
			const { memory, repository, pointId, volumeId, content } = await withPoint();
			const key = packOf(memory, kind);
			const changed = change(memory.objects.get(key) ?? new Uint8Array());
			if (changed) memory.objects.set(key, new Uint8Array(changed));
			else memory.objects.delete(key);
			const reader = await repository.openPoint(pointId);
			const sink = async (offset: number, data: Uint8Array) => {
				expect(content.subarray(offset, offset + data.length).equals(data)).toBe(true);
			};
			const told = {
				code: "invalid",
				message: expect.stringMatching(new RegExp(`bytes \\d+-\\d+ of volume ${volumeId}`)),
			};
			await expect(reader.restore(volumeId, sink, { signal: AbortSignal.any([]) })).rejects.toMatchObject(told);
			await expect(reader.read(volumeId, 0, content.length)).rejects.toMatchObject(told);
		},
	);

	test("two blocks of a pack that changed places are both refused", async () => {
		const { memory, repository, pointId, volumeId } = await withPoint();
		const bytes = memory.objects.get(packOf(memory, "data")) ?? new Uint8Array();
		const [first, second] = [
			bytes.slice(24, 24 + 64 * KiB + 20),
			bytes.slice(24 + 64 * KiB + 20, 24 + 2 * (64 * KiB + 20)),
		];
		bytes.set(second, 24);
		bytes.set(first, 24 + second.length);
		const reader = await repository.openPoint(pointId);
		for (const offset of [0, 64 * KiB]) {
			await expect(reader.read(volumeId, offset, 10)).rejects.toMatchObject({ code: "invalid" });
		}
	});
});
