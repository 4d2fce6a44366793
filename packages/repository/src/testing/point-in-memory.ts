import { randomBytes } from "node:crypto";
import { newId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { packIdOfKey, packKind } from "../format/pack-id.ts";
import { openRepository } from "../open.ts";
import { inlineCodec } from "./inline-codec.ts";
import { MemoryStorage } from "./memory-storage.ts";
import { backUp, newRepository, testKey } from "./points.ts";

export const MiB = 1024 * 1024;
export const KiB = 1024;
export const codec = inlineCodec();

/** A new repository with one point of 2 MiB. */
export async function makePoint() {
	const memory = new MemoryStorage();
	const { repositoryId, repository } = await newRepository({ storage: memory, codec });
	const volumeId = newId(VolumeId);
	const content = Buffer.concat([randomBytes(MiB), Buffer.alloc(64 * KiB, "compressible ")]);
	const disk = Buffer.concat([content, Buffer.alloc(2 * MiB - content.length)]);
	const { pointId } = await backUp(repository, { volumeId, content: disk });
	return { memory, repositoryId, volumeId, content: disk, pointId };
}

let made: ReturnType<typeof makePoint> | null = null;

/** A repository with one point, made once; each caller has its own copy. */
export async function withPoint() {
	made ??= makePoint();
	const { memory: original, ...known } = await made;
	const memory = new MemoryStorage();
	for (const [key, bytes] of original.objects) memory.objects.set(key, new Uint8Array(bytes));
	const repository = await openRepository(memory, { repositoryId: known.repositoryId, key: testKey, codec });
	return { ...known, memory, repository };
}

export const newKeyOf = (byte: number) => formatRepositoryKey(new Uint8Array(32).fill(byte));

/** The key of one pack of that kind. */
export function packOf(memory: MemoryStorage, kind: "data" | "tree"): string {
	const key = [...memory.objects.keys()].find((each) => {
		const packId = packIdOfKey(each);
		return packId && packKind(packId) === kind;
	});
	if (!key) throw new Error(`there is a pack of kind ${kind}`);
	return key;
}
