import { GuestId, newId, PointId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { mergeDamages, tellsAll } from "./damages.ts";

const points = (count: number) =>
	Array.from({ length: count }, () => ({
		...{ pointId: newId(PointId), guestId: newId(GuestId), guestName: "web-1", volumeId: null, ranges: [] },
	}));
const damageOf = (object: string, count = 0) => ({ object, text: "altered", points: points(count) });
const many = (count: number, folder = "packs") =>
	Array.from({ length: count }, (_, index) => damageOf(`${folder}/${index}`));

test("a report that has room left tells of every damage; a full one may leave points out", () => {
	expect(tellsAll([])).toBe(true);
	expect(tellsAll(many(999))).toBe(true);
	expect(tellsAll(many(1000))).toBe(false);
	expect(tellsAll([damageOf("packs/1", 1), damageOf("packs/2", 999)])).toBe(true);
	expect(tellsAll([damageOf("packs/1", 1), damageOf("packs/2", 1000)])).toBe(false);
});

test("what an earlier scrub tells late does not hide what a newer one has found meanwhile", () => {
	const [newer, late] = [damageOf("packs/1", 1), damageOf("packs/2", 1)];
	expect(mergeDamages([newer], [late])).toEqual([late, newer]);
});

test("an object that both found is listed once, with the newer word and the points of both", () => {
	const former = { ...damageOf("packs/1", 2), text: "truncated" };
	const [shared] = former.points;
	if (!shared) throw new Error("there is no point");
	const again = { ...shared, ranges: [{ from: 0, to: 512 }] };
	const found = { ...damageOf("packs/1"), points: [again, ...points(1)] };
	expect(mergeDamages([former], [found])).toEqual([{ ...found, points: [...found.points, former.points[1]] }]);
});

test("the list stays as short as a report; what was found last is on it", () => {
	const merged = mergeDamages(many(1000, "old"), [damageOf("packs/new")]);
	expect(merged).toHaveLength(1000);
	expect(merged[0]?.object).toBe("packs/new");
});
