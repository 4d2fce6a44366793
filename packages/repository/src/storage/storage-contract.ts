import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Storage } from "../storage.ts";

/** Opens the place under test. Called again, it opens the same place as another process would. */
export type OpenStorage = () => Promise<Storage>;

const text = (value: string) => Buffer.from(value, "utf8");

async function keysOf(storage: Storage, prefix: string): Promise<string[]> {
	const keys: string[] = [];
	for await (const { key } of storage.list(prefix)) keys.push(key);
	return keys.sort();
}

/** What every kind of storage promises; `open` opens an empty place. */
export function describeStorage(kind: string, open: OpenStorage): void {
	describe(`a repository's storage: ${kind}`, () => {
		let storage: Storage;
		beforeAll(async () => {
			storage = await open();
		});
		afterAll(() => storage.close());

		test("what was put is got, whole and in parts", async () => {
			await storage.put("parts/a", text("0123456789"));
			expect(Buffer.from(await storage.get("parts/a")).toString()).toBe("0123456789");
			expect(Buffer.from(await storage.get("parts/a", { offset: 3, length: 4 })).toString()).toBe("3456");
			expect(await storage.size("parts/a")).toBe(10);
		});

		test("a part that the object ends in is shorter, so that a truncated object is seen", async () => {
			await storage.put("short/a", text("0123456789"));
			expect(Buffer.from(await storage.get("short/a", { offset: 8, length: 100 })).toString()).toBe("89");
			expect(await storage.get("short/a", { offset: 10, length: 5 })).toHaveLength(0);
			expect(await storage.get("short/a", { offset: 2, length: 0 })).toHaveLength(0);
		});

		test("an empty object is an object", async () => {
			await storage.put("empty/a", new Uint8Array(0));
			expect(await storage.get("empty/a")).toHaveLength(0);
			expect(await storage.size("empty/a")).toBe(0);
		});

		test("put replaces", async () => {
			await storage.put("replaced/a", text("a longer first version"));
			await storage.put("replaced/a", text("second"));
			expect(Buffer.from(await storage.get("replaced/a")).toString()).toBe("second");
			expect(await storage.size("replaced/a")).toBe(6);
		});

		test("what is not there is not_found, and has no size", async () => {
			await expect(storage.get("nothing/here")).rejects.toMatchObject({ code: "not_found" });
			await expect(storage.get("nothing/here", { offset: 0, length: 1 })).rejects.toMatchObject({ code: "not_found" });
			expect(await storage.size("nothing/here")).toBeNull();
			await storage.put("nothing-but", text("a"));
			expect(await storage.size("nothing")).toBeNull();
		});

		test("create refuses what exists, and leaves it as it is", async () => {
			await storage.create("created/a", text("first"));
			await expect(storage.create("created/a", text("second"))).rejects.toMatchObject({ code: "conflict" });
			expect(Buffer.from(await storage.get("created/a")).toString()).toBe("first");
		});

		test("of many that create one object at once exactly one succeeds", async () => {
			const other = await open();
			for (let round = 0; round < 5; round++) {
				const key = `race/${round}`;
				const outcomes = await Promise.allSettled(
					Array.from({ length: 8 }, (_, writer) =>
						(writer % 2 ? other : storage).create(key, text(`writer ${writer}`)).then(() => writer),
					),
				);
				const winners = outcomes.filter((outcome) => outcome.status === "fulfilled");
				expect(winners).toHaveLength(1);
				expect(Buffer.from(await storage.get(key)).toString()).toBe(`writer ${winners[0]?.value}`);
			}
			await other.close();
		});

		test("a list has every object below a folder, its size, and nothing else", async () => {
			await storage.put("listed/one/a", text("1"));
			await storage.put("listed/one/b", text("22"));
			await storage.put("listed/two", text("333"));
			await storage.put("listed-not/c", text("4"));
			const found: Record<string, number> = {};
			for await (const { key, sizeBytes } of storage.list("listed/")) found[key] = sizeBytes;
			expect(found).toEqual({ "listed/one/a": 1, "listed/one/b": 2, "listed/two": 3 });
			expect(await keysOf(storage, "listed/one/")).toEqual(["listed/one/a", "listed/one/b"]);
			expect(await keysOf(storage, "no-such/")).toEqual([]);
			expect(await keysOf(storage, "")).toEqual(expect.arrayContaining(["listed/two", "listed-not/c"]));
		});

		test("a list is whole, however long", async () => {
			const keys = Array.from({ length: 1203 }, (_, index) => `many/${String(index).padStart(5, "0")}`);
			for (let from = 0; from < keys.length; from += 100) {
				await Promise.all(keys.slice(from, from + 100).map((key) => storage.put(key, text(key))));
			}
			expect(await keysOf(storage, "many/")).toEqual(keys);
		});

		test("another process sees at once what was written", async () => {
			const other = await open();
			expect(await keysOf(other, "seen/")).toEqual([]);
			expect(await other.size("seen/a")).toBeNull();
			await storage.create("seen/a", text("a"));
			expect(await keysOf(other, "seen/")).toEqual(["seen/a"]);
			expect(Buffer.from(await other.get("seen/a")).toString()).toBe("a");
			await other.close();
		});

		test("what is removed is gone, and removing it again changes nothing", async () => {
			await storage.put("removed/folder/a", text("a"));
			await storage.remove("removed/folder/a");
			await storage.remove("removed/folder/a");
			await storage.remove("removed/never/was");
			expect(await storage.size("removed/folder/a")).toBeNull();
			expect(await keysOf(storage, "removed/")).toEqual([]);
			await storage.create("removed/folder/a", text("again"));
			expect(Buffer.from(await storage.get("removed/folder/a")).toString()).toBe("again");
		});

		test("objects of the size of a pack come back as they were", async () => {
			const data = new Uint8Array(17 * 1024 * 1024);
			for (let at = 0; at < data.length; at += 4096) data[at] = at / 4096;
			await storage.put("big/a", data);
			expect(Buffer.compare(await storage.get("big/a"), data)).toBe(0);
			const part = await storage.get("big/a", { offset: data.length - 5000, length: 5000 });
			expect(Buffer.compare(part, data.subarray(data.length - 5000))).toBe(0);
		});

		test.each(["", "/a", "a/", "a//b", "../a", "a/../b", "A", "a b", ".a", "a/.b", "ä", "a".repeat(301)])(
			"%j is no name of an object",
			async (key) => {
				await expect(storage.put(key, text("x"))).rejects.toMatchObject({ code: "invalid" });
				await expect(storage.create(key, text("x"))).rejects.toMatchObject({ code: "invalid" });
				await expect(storage.get(key)).rejects.toMatchObject({ code: "invalid" });
				await expect(storage.remove(key)).rejects.toMatchObject({ code: "invalid" });
				await expect(storage.size(key)).rejects.toMatchObject({ code: "invalid" });
			},
		);

		test("tidying up leaves every object", async () => {
			await storage.put("tidy/a", text("a"));
			await storage.tidy();
			expect(await keysOf(storage, "tidy/")).toEqual(["tidy/a"]);
		});
	});
}
