import { GuestId, newId, PointId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { tellsAll } from "./upkeep.ts";

const damageOf = (points: number) => ({
	...{ object: "packs/1", text: "altered" },
	points: Array.from({ length: points }, () => ({
		...{ pointId: newId(PointId), guestId: newId(GuestId), guestName: "web-1", volumeId: null, ranges: [] },
	})),
});

test("a report that has room left tells of every damage; a full one may leave points out", () => {
	expect(tellsAll([])).toBe(true);
	expect(tellsAll(Array.from({ length: 999 }, () => damageOf(0)))).toBe(true);
	expect(tellsAll(Array.from({ length: 1000 }, () => damageOf(0)))).toBe(false);
	expect(tellsAll([damageOf(1), damageOf(999)])).toBe(true);
	expect(tellsAll([damageOf(1), damageOf(1000)])).toBe(false);
});
