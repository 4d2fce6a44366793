import { newId, PointId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { packIdOfKey, parsePackId } from "../format/pack-id.ts";
import { pointIdOfKey, pointKey } from "../format/records.ts";
import { withPoint } from "../testing/point-in-memory.ts";

describe("names", () => {
	const hostile = [
		"../../etc/passwd",
		"..%2f",
		"",
		"a".repeat(31),
		"A".repeat(32),
		"g".repeat(32),
		`${"0".repeat(31)}\0`,
	];

	test.each(hostile)("%j names no pack and no point", (name) => {
		expect(() => parsePackId(name)).toThrow(/not the id of a pack/);
		expect(packIdOfKey(`packs/${name}`)).toBeNull();
		expect(packIdOfKey(`packs/${"0".repeat(16)}/${name}`)).toBeNull();
		expect(pointIdOfKey("points/", `points/${name}`)).toBeNull();
	});

	test("a point's id in capitals never becomes a key", () => {
		const pointId = PointId.parse("ABCDEF01-0000-4000-8000-000000000000");
		expect(() => pointKey(pointId)).toThrow(/lower case/);
		expect(pointIdOfKey("points/", `points/${pointId}`)).toBeNull();
	});

	test("objects with other names in the repository's folders are passed over", async () => {
		const { memory, repository, pointId } = await withPoint();
		for (const key of [
			"points/x",
			"pruned/y",
			"sessions/z",
			"collections/1",
			"suspect/none",
			"packs/strange",
			"moved/m",
		]) {
			memory.objects.set(key, new Uint8Array(3));
		}
		expect((await repository.points()).points.map((point) => point.pointId)).toEqual([pointId]);
		const session = await repository.beginSession({ pointId: newId(PointId), parentPointId: pointId });
		await session.abandon();
	});
});
