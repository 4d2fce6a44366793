import { newId, RepositoryId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { endedAfterAll } from "./upkeep.ts";

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
