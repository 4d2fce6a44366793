import { GuestId, newId, PointId, RepositoryId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { endedAfterAll, tellsAll } from "./upkeep.ts";

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

const repositoryId = newId(RepositoryId);
const givenUp = { kind: "scrub", repositoryId, state: "failed" } as const;
const ended = { kind: "scrub", repositoryId, state: "completed" } as const;

test("a scrub that was given up and ended after all is news, once", () => {
	expect(endedAfterAll(givenUp, ended)).toBe(true);
	expect(endedAfterAll({ ...givenUp, state: "completed" }, ended)).toBe(false);
});

test.each([
	["that failed there too", { ...ended, state: "failed" as const }],
	["that still goes on", { ...ended, state: "running" as const }],
	["of another repository", { ...ended, repositoryId: newId(RepositoryId) }],
	["that is a collection", { ...ended, kind: "collect" as const }],
])("a round that was given up is no news by a report %s", (_, report) => {
	expect(endedAfterAll(givenUp, report)).toBe(false);
});
