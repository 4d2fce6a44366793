import { MigrationId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { expiredJournals } from "./journal-retention.ts";

const dayMs = 24 * 3_600_000;
const now = 1000 * dayMs;
/** One that ended today, one yesterday, and so on. */
const daily = (count: number) =>
	new Map(Array.from({ length: count }, (_, day) => [newId(MigrationId), now - day * dayMs]));

test("the latest 200 are kept, however old they are", () => {
	expect(expiredJournals(daily(200), now + 1000 * dayMs)).toEqual([]);
});

test("all of the last 30 days are kept, however many there are", () => {
	const many = new Map(Array.from({ length: 500 }, () => [newId(MigrationId), now - 30 * dayMs]));
	expect(expiredJournals(many, now)).toEqual([]);
});

test("the oldest go when they are beyond both, in whatever order they are known", () => {
	const journals = daily(203);
	const oldest = [...journals.keys()].slice(200);
	const shuffled = new Map([...journals].reverse());
	expect(expiredJournals(shuffled, now).sort()).toEqual(oldest.sort());
});
