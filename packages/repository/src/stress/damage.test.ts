import { expect, test } from "vitest";
import { packIdOfKey } from "../format/pack-id.ts";
import { openParts } from "../open.ts";
import type { Opened } from "../opened.ts";
import { PackSource } from "../read/pack-source.ts";
import type { Repository } from "../repository.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { backUp, commitAs, newId, newRepository, PointId, restored, testKey, VolumeId } from "../testing/points.ts";
import { collect } from "../upkeep/collect.ts";
import { scrub } from "../upkeep/scrub.ts";
import { Random } from "./random.ts";

const options = { signal: new AbortController().signal };
const blockSizeBytes = 4096;
const sizeBytes = 1024 * 1024;
/** Where there is data; the rest of the disk is zeros. */
const usedBlocks = 48;
const volumeId = newId(VolumeId);

/** Some blocks of data, some of them like one another, the rest zeros. */
function disk(random: Random, share: number): Uint8Array {
	const content = new Uint8Array(sizeBytes);
	for (let at = 0; at < usedBlocks * blockSizeBytes; at += blockSizeBytes) {
		if (random.chance(share)) content.set(random.bytes(256), at);
	}
	return content;
}

function changed(random: Random, before: Uint8Array, share: number): { content: Uint8Array; blocks: Set<number> } {
	const content = Uint8Array.from(before);
	const blocks = new Set<number>();
	for (let block = 0; block < usedBlocks; block++) {
		if (!random.chance(share)) continue;
		content.set(random.bytes(256), block * blockSizeBytes);
		blocks.add(block);
	}
	return { content, blocks };
}

/** Every kind of object that a repository has: chains, compacted packs and their notes, pruned points, rounds, an abandoned one. */
async function livedIn(random: Random): Promise<{ storage: MemoryStorage; parts: Opened; repository: Repository }> {
	const storage = new MemoryStorage();
	const { repository, repositoryId } = await newRepository({ storage, blockSizeBytes });
	const parts = { ...(await openParts(storage, { repositoryId, key: testKey })), codec: inlineCodec() };
	let content = disk(random, 0.8);
	let parent = await backUp(repository, { volumeId, content });
	const points = [parent.pointId];
	for (const share of [0.7, 0.05, 0.05]) {
		const next = changed(random, content, share);
		content = next.content;
		const inherited = {
			volumeId,
			content,
			parentPointId: parent.pointId,
			changed: (at: number) => next.blocks.has(at),
		};
		parent = await backUp(repository, inherited);
		points.push(parent.pointId);
	}
	await backUp(repository, { volumeId: newId(VolumeId), content: disk(random, 0.2) });
	await repository.prune(points.slice(0, 1));
	await collect(parts, options);
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: null });
	await session.abandon();
	await repository.prune(points.slice(1, 2));
	return { storage, parts, repository };
}

function copyOf(storage: MemoryStorage): MemoryStorage {
	const copy = new MemoryStorage();
	for (const [key, data] of storage.objects) copy.objects.set(key, data);
	return copy;
}

test("each of 1,000 flipped bits, truncations, swaps and deletions is found by one scrub", {
	timeout: 300_000,
}, async () => {
	const random = new Random(20_260_101);
	const { storage, parts } = await livedIn(random);
	const keys = [...storage.objects.keys()];
	for (const kind of ["config", "keys", "packs", "points", "pruned", "ledger", "collections", "moved"]) {
		expect(keys.some((key) => key.startsWith(kind))).toBe(true);
	}
	expect((await scrub(parts, options)).damages).toEqual([]);

	const missed: string[] = [];
	for (let round = 0; round < 1000; round++) {
		const copy = copyOf(storage);
		const opened = { ...parts, storage: copy, packs: new PackSource(copy, parts.sealing, blockSizeBytes) };
		const { hurt, what } = damageOne(random, copy, keys);
		const { damages } = await scrub(opened, options);
		const isNamed = damages.some(({ object }) => hurt.includes(object)) || (hurt.length === 1 && damages.length > 0);
		if (!isNamed) missed.push(what);
	}
	expect(missed).toEqual([]);
});

/** Spoils one object, or two by giving each the other's content. */
function damageOne(random: Random, storage: MemoryStorage, keys: readonly string[]): { hurt: string[]; what: string } {
	const key = random.pick(keys);
	const data = storage.objects.get(key) ?? new Uint8Array(0);
	switch (random.below(4)) {
		case 0: {
			const bit = random.below(data.length * 8);
			const flipped = Uint8Array.from(data);
			flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
			storage.objects.set(key, flipped);
			return { hurt: [key], what: `bit ${bit} of ${key} (${data.length} bytes) flipped` };
		}
		case 1: {
			const length = random.below(data.length);
			storage.objects.set(key, data.slice(0, length));
			return { hurt: [key], what: `${key} cut from ${data.length} to ${length} bytes` };
		}
		case 2: {
			const other = random.pick(keys.filter((each) => each !== key));
			storage.objects.set(key, storage.objects.get(other) ?? data);
			storage.objects.set(other, data);
			return { hurt: [key, other], what: `${key} and ${other} swapped` };
		}
		default:
			storage.objects.delete(key);
			return { hurt: [key], what: `${key} deleted` };
	}
}

test("damage is named to the guest, the disk and its bytes; the next backup heals it and inherits nothing of it", async () => {
	const random = new Random(7);
	const storage = new MemoryStorage();
	const { repository } = await newRepository({ storage, blockSizeBytes });
	const content = disk(random, 1);
	const first = await backUp(repository, { volumeId, content });
	const second = await backUp(repository, { volumeId, content, parentPointId: first.pointId, changed: () => false });
	const pack = [...storage.objects.keys()].find((key) => packIdOfKey(key)?.charAt(16).match(/[0-7]/));
	const spoiled = Uint8Array.from(storage.objects.get(pack ?? "") ?? []);
	// In the first frame: four blocks.
	spoiled[100] = (spoiled[100] ?? 0) ^ 1;
	storage.objects.set(pack ?? "", spoiled);

	const { damages } = await repository.scrub(options);
	expect(damages).toHaveLength(1);
	expect(damages[0]).toMatchObject({ object: pack });
	expect(damages[0]?.points.map(({ pointId }) => pointId).sort()).toEqual([first.pointId, second.pointId].sort());
	expect(damages[0]?.points[0]).toMatchObject({
		guestName: "web-1",
		volumeId,
		ranges: [{ from: 0, to: 4 * blockSizeBytes }],
	});

	expect(await repository.damagedVolumes(second.pointId)).toEqual([volumeId]);
	const healed = await backUp(repository, { volumeId, content, parentPointId: second.pointId });
	expect(await repository.damagedVolumes(healed.pointId)).toEqual([]);
	expect(Buffer.compare(await restored(repository, healed.pointId, volumeId), content)).toBe(0);
	const after = await repository.scrub(options);
	expect(after.damages[0]?.points.some(({ pointId }) => pointId === healed.pointId)).toBe(false);
	await repository.prune([first.pointId, second.pointId]);
	await repository.collect(options);
	expect((await repository.scrub(options)).damages).toEqual([]);
	expect(Buffer.compare(await restored(repository, healed.pointId, volumeId), content)).toBe(0);
});

test.each(["data", "tree"])("a lost %s pack is healed by the next backup of the disk", async (kind) => {
	const random = new Random(8);
	const storage = new MemoryStorage();
	const { repository } = await newRepository({ storage, blockSizeBytes });
	const content = disk(random, 0.5);
	const first = await backUp(repository, { volumeId, content });
	for (const key of [...storage.objects.keys()]) {
		const packId = packIdOfKey(key);
		if (packId && /[89a-f]/.test(packId.charAt(16)) === (kind === "tree")) storage.objects.delete(key);
	}
	expect((await repository.scrub(options)).damages[0]?.points[0]).toMatchObject({ pointId: first.pointId, volumeId });
	expect(await repository.damagedVolumes(first.pointId)).toEqual([volumeId]);
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: first.pointId });
	const writer = session.volume({ volumeId, sizeBytes, inherit: false });
	await writer.write(0, content);
	await writer.finish();
	const healed = await commitAs(session, first.pointId, [volumeId]);
	expect(Buffer.compare(await restored(repository, healed.pointId, volumeId), content)).toBe(0);
	expect(await repository.damagedVolumes(healed.pointId)).toEqual([]);
});
