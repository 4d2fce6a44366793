import { expect, test } from "vitest";
import { cutPage, matches } from "./paging.ts";

const rows = ["web-10", "web-2", "db", "web-1"].map((name) => ({ name, cpu: name === "db" ? null : name.length }));
const names = (page: { items: { name: string }[] }) => page.items.map(({ name }) => name);
const byName = (row: { name: string }) => row.name;

test("names with numbers sort as people count", () => {
	const page = cutPage(rows, { page: 1, pageSize: 10, direction: "ascending" }, byName, byName);
	expect(names(page)).toEqual(["db", "web-1", "web-2", "web-10"]);
});

test("pages follow each other without gap or repetition, and the total stays", () => {
	const pages = [1, 2, 3].map((page) => cutPage(rows, { page, pageSize: 2, direction: "descending" }, byName, byName));
	expect(pages.map(names)).toEqual([["web-10", "web-2"], ["web-1", "db"], []]);
	expect(pages.map(({ total }) => total)).toEqual([4, 4, 4]);
});

test("what is not known comes last, whichever way one sorts", () => {
	for (const direction of ["ascending", "descending"] as const) {
		expect(names(cutPage(rows, { page: 1, pageSize: 9, direction }, (row) => row.cpu, byName)).at(-1)).toBe("db");
	}
});

test("the filter finds parts of any text and minds no case", () => {
	expect(matches(" WEB", "my-web-1")).toBe(true);
	expect(matches("", "anything")).toBe(true);
	expect(matches("db", "web", "cache")).toBe(false);
});
