import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { RepositoryKey } from "@sterna/shared/backup";
import { PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { parseRepositoryKey } from "@sterna/shared/repository-key";
import { expect, test } from "vitest";
import { z } from "zod";
import { openRepository } from "../open.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { restored } from "../testing/points.ts";
import { readAsStranger } from "./stranger.ts";

const Vector = z.strictObject({
	key: RepositoryKey,
	repositoryId: RepositoryId,
	points: z.array(z.strictObject({ pointId: PointId, volumeId: VolumeId, sha256: z.string() })).length(2),
	objects: z.record(z.string(), z.base64()),
});
const vector = Vector.parse(JSON.parse(await readFile(new URL("format-1.json", import.meta.url), "utf8")));
const objects = new Map(Object.entries(vector.objects).map(([name, text]) => [name, Buffer.from(text, "base64")]));

function sha256(disk: Buffer): string {
	return createHash("sha256").update(disk).digest("hex");
}

test("a repository that format 1 wrote once is read for ever", async () => {
	const storage = new MemoryStorage();
	for (const [name, bytes] of objects) await storage.put(name, bytes);
	const { repositoryId, key } = vector;
	const repository = await openRepository(storage, { repositoryId, key, codec: inlineCodec() });
	for (const { pointId, volumeId, sha256: wanted } of vector.points) {
		expect(sha256(await restored(repository, pointId, volumeId))).toBe(wanted);
	}
	expect((await repository.points()).points.map(({ guestName }) => guestName)).toEqual(["vector", "vector"]);
	await repository.close();
});

test("who knows only the page about the format reads it, too", async () => {
	const key = Buffer.from(await parseRepositoryKey(vector.key));
	for (const { pointId, volumeId, sha256: wanted } of vector.points) {
		expect(sha256(readAsStranger(objects, key, pointId, volumeId))).toBe(wanted);
	}
});
