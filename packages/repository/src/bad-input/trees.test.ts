import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { newId, PointId, VolumeId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { hashBlock } from "../codec/jobs.ts";
import { manifestRecord } from "../format/manifest.ts";
import { PackBuilder, packOverheadBytes } from "../format/pack.ts";
import { newPackId, packKey, packOwner } from "../format/pack-id.ts";
import { pointKey, sealRecord } from "../format/records.ts";
import { type Reference, referenceBytes, writeReference } from "../format/reference.ts";
import { openParts } from "../open.ts";
import type { Opened } from "../opened.ts";
import { codec, KiB, MiB, withPoint } from "../testing/point-in-memory.ts";
import { pointOf, testKey } from "../testing/points.ts";
import { nodeBytes } from "../tree/geometry.ts";
import { TreePacks } from "../write/pack-uploads.ts";

describe("trees whose seals fit", () => {
	/** A point of 1 MiB whose root is what `make` stores. */
	async function crafted(make: (opened: Opened, trees: TreePacks) => Reference | Promise<Reference>) {
		const { memory, repository, repositoryId } = await withPoint();
		const opened = await openParts(memory, { repositoryId, key: testKey, codec });
		const [pointId, volumeId] = [newId(PointId), newId(VolumeId)];
		const trees = new TreePacks(opened, packOwner(pointId));
		const root = await make(opened, trees);
		await trees.flush();
		const stated = {
			readBytes: 0,
			storedBytes: 0,
			changedBytes: 0,
			read: "whole" as const,
			reason: "firstBackup" as const,
		};
		const volumes = [{ volumeId, sizeBytes: MiB, ...stated }];
		const point = { ...pointOf(pointId, null, [volumeId]), repositoryId, volumes };
		const record = manifestRecord(point, new Map([[volumeId, root]]));
		await memory.put(pointKey(pointId), sealRecord(opened.sealing, pointKey(pointId), record));
		const reader = await repository.openPoint(pointId);
		return reader.read(volumeId, 0, MiB);
	}
	const somewhere = (offset = 24): Reference => ({
		hash: new Uint8Array(32).fill(1),
		packId: newPackId("0".repeat(16), "data"),
		offset,
		storedBytes: 100,
		compressed: false,
		frameBlocks: 1,
		frameIndex: 0,
	});
	const nodeWith = (slot: number, reference: Reference) => {
		const node = new Uint8Array(nodeBytes);
		writeReference(node, slot * referenceBytes, reference);
		return node;
	};
	/** A block in a pack of its own. */
	async function storeBlock(opened: Opened, payload: Uint8Array, hash: Uint8Array, compressed: boolean) {
		const buffer = new Uint8Array(payload.length + 100 + packOverheadBytes(1));
		const builder = new PackBuilder(newPackId("0".repeat(16), "data"), opened.sealing, buffer);
		const [reference] = builder.seal([hash], payload, { compressed, plainBytes: 64 * KiB });
		if (!reference) throw new Error("a block that was sealed has a place");
		await opened.storage.put(packKey(builder.packId), builder.finish());
		return reference;
	}

	test("one that is longer than its disk is refused", async () => {
		const reading = crafted((_opened, trees) => trees.store(nodeWith(16, somewhere())));
		await expect(reading).rejects.toMatchObject({
			code: "invalid",
			cause: { message: expect.stringMatching(/longer than its disk/) },
		});
	});

	test("one that leads to itself cannot be: where a node is read, a block is none", async () => {
		const reading = crafted((opened) => {
			const block = new Uint8Array(randomBytes(64 * KiB));
			return storeBlock(opened, block, hashBlock(opened.sealing.hashKey, block), false);
		});
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
	});

	test("one that leads behind the end of a pack, or to no pack, is refused", async () => {
		const reading = crafted((_opened, trees) => trees.store(nodeWith(0, somewhere(0xffff_ff00))));
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
		const behind = crafted(async (opened, trees) => {
			const block = new Uint8Array(randomBytes(64 * KiB));
			const reference = await storeBlock(opened, block, hashBlock(opened.sealing.hashKey, block), false);
			return trees.store(nodeWith(0, { ...reference, storedBytes: 0x00ff_ffff }));
		});
		await expect(behind).rejects.toMatchObject({ code: "invalid" });
	});

	test("a block that unpacks to a gigabyte is refused without unpacking it", async () => {
		const bomb = zstdCompressSync(Buffer.alloc(256 * MiB), { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
		const before = process.memoryUsage().rss;
		const reading = crafted(async (opened, trees) =>
			trees.store(nodeWith(0, await storeBlock(opened, bomb, new Uint8Array(32).fill(3), true))),
		);
		await expect(reading).rejects.toMatchObject({ code: "invalid" });
		expect(process.memoryUsage().rss - before).toBeLessThan(200 * MiB);
	});

	test("a block with another content than its hash says is refused, and so is one that is too short", async () => {
		for (const payload of [randomBytes(64 * KiB), randomBytes(100)]) {
			const reading = crafted(async (opened, trees) =>
				trees.store(nodeWith(0, await storeBlock(opened, payload, new Uint8Array(32).fill(3), false))),
			);
			await expect(reading).rejects.toMatchObject({ code: "invalid", message: expect.stringMatching(/bytes 0-65536/) });
		}
	});
});
