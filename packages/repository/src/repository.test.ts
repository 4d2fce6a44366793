import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { backUp, newId, newRepository, restored, VolumeId } from "./testing/points.ts";

const MiB = 1024 * 1024;

test("a disk comes back bit by bit, and so does the next point that inherits from it", async () => {
	const { repository } = await newRepository();
	const volumeId = newId(VolumeId);
	const content = Buffer.concat([
		randomBytes(5 * MiB),
		Buffer.alloc(30 * MiB),
		Buffer.alloc(2 * MiB, "sterna "),
		randomBytes(3 * MiB),
	]);
	const first = await backUp(repository, { volumeId, content });
	expect((await restored(repository, first.pointId, volumeId)).equals(content)).toBe(true);

	const next = Buffer.from(content);
	randomBytes(65536).copy(next, 65536 * 20);
	const second = await backUp(repository, {
		volumeId,
		content: next,
		parentPointId: first.pointId,
		changed: (block) => block === 20,
	});
	expect((await restored(repository, second.pointId, volumeId)).equals(next)).toBe(true);
	expect((await restored(repository, first.pointId, volumeId)).equals(content)).toBe(true);
	expect(second.volumes[0]?.changedBytes).toBe(65536);
	expect((await repository.points()).points.map(({ pointId }) => pointId).sort()).toEqual(
		[first.pointId, second.pointId].sort(),
	);
	await repository.close();
});
