import { createHash, randomBytes } from "node:crypto";
import { newId, PointId, VolumeId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { newPackId } from "../format/pack-id.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { commitAs, newRepository } from "../testing/points.ts";
import { HashTable, maxSlots } from "./hash-table.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** Takes packs and keeps none; counts what the writer has handed over and not got back. */
class DroppingStorage extends MemoryStorage {
	heldBytes = 0;
	maxHeldBytes = 0;
	packs = 0;

	override async put(key: string, data: Uint8Array): Promise<void> {
		if (!key.startsWith("packs/")) return super.put(key, data);
		this.packs++;
		this.heldBytes += data.length;
		this.maxHeldBytes = Math.max(this.maxHeldBytes, this.heldBytes);
		await new Promise((resolve) => setImmediate(resolve));
		this.heldBytes -= data.length;
	}
}

test("a disk of 64 GiB is backed up in the memory that a small one needs", async () => {
	const storage = new DroppingStorage();
	const { repository } = await newRepository({ storage });
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const volumeId = newId(VolumeId);
	const writer = session.volume({ volumeId, sizeBytes: 64 * GiB, inherit: false });
	const before = process.memoryUsage().arrayBuffers;
	let maxBytes = 0;
	const content = Buffer.alloc(MiB);
	for (let at = 0; at < 64 * GiB; at += 128 * MiB) {
		// Every other piece occurs once only; the rest is the same everywhere.
		content.fill(
			createHash("sha512")
				.update(`${(at / (128 * MiB)) % 2 === 0 ? at : "same"}`)
				.digest(),
		);
		for (let block = 0; block < MiB; block += 65_536) content.writeUInt32LE(block, block);
		await writer.write(at, content);
		await writer.zero(at + MiB, 127 * MiB);
		maxBytes = Math.max(maxBytes, process.memoryUsage().arrayBuffers - before);
	}
	await writer.finish();
	const point = await commitAs(session, null, [volumeId]);
	await repository.close();
	expect(point.volumes[0]?.readBytes).toBe(512 * MiB);
	expect(storage.packs).toBeGreaterThan(0);
	expect(storage.maxHeldBytes).toBeLessThanOrEqual(3 * 21 * MiB);
	// Packs, batches and table, as docs/backup-format.md adds them up, without the threads.
	expect(maxBytes).toBeLessThan(120 * MiB);
});

test("a storage that is slower than the disk holds up the writer before a hundred MiB are under way", async () => {
	const storage = new MemoryStorage();
	const { repository } = await newRepository({ storage });
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	const writer = session.volume({ volumeId: newId(VolumeId), sizeBytes: GiB, inherit: false });
	let [takenBytes, storedBytes, maxUnderWayBytes] = [0, 0, 0];
	storage.put = async (_key, data) => {
		const sizeBytes = data.length;
		await new Promise((resolve) => setTimeout(resolve, 200));
		storedBytes += sizeBytes;
	};
	for (let at = 0; at < 192 * MiB; at += MiB) {
		await writer.write(at, randomBytes(MiB));
		takenBytes += MiB;
		maxUnderWayBytes = Math.max(maxUnderWayBytes, takenBytes - storedBytes);
	}
	await writer.finish();
	expect(takenBytes).toBe(192 * MiB);
	expect(maxUnderWayBytes).toBeLessThan(100 * MiB);
	await repository.close();
});

test("the table of known blocks finds what it took, and takes no more memory when it is full", () => {
	const table = new HashTable(1 << 13);
	const packId = newPackId("0123456789abcdef", "data");
	const partOf = (offset: number) => {
		const frameBlocks = (offset % 4) + 1;
		return { storedBytes: offset + 1, compressed: offset % 3 === 0, frameBlocks, frameIndex: offset % frameBlocks };
	};
	const hashes = Array.from({ length: 10_000 }, (_, index) => createHash("sha256").update(`${index}`).digest());
	for (const [offset, hash] of hashes.entries()) {
		table.add({ hash, packId, offset, ...partOf(offset) });
	}
	const held = (1 << 13) * 0.75;
	expect(table.full).toBe(true);
	for (const [offset, hash] of hashes.entries()) {
		const wanted = { hash: new Uint8Array(hash), packId, offset, ...partOf(offset) };
		expect(table.find(hash)).toEqual(offset < held ? wanted : null);
	}
	expect((table.memoryBytes / (1 << 13)) * maxSlots).toBeLessThanOrEqual(28 * MiB);
});
