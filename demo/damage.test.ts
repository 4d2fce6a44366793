import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { damageRepository } from "./damage.ts";

const folder = mkdtempSync(join(tmpdir(), "damage-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("one byte of the largest pack is another one, and nothing else", async () => {
	mkdirSync(join(folder, "packs/a"), { recursive: true });
	writeFileSync(join(folder, "packs/a/small"), Buffer.alloc(10));
	writeFileSync(join(folder, "packs/a/large"), Buffer.alloc(101));
	expect(await damageRepository(folder)).toBe("packs/a/large");
	const large = readFileSync(join(folder, "packs/a/large"));
	expect(large).toHaveLength(101);
	expect([...large].filter((byte) => byte !== 0)).toEqual([0xff]);
	expect(readFileSync(join(folder, "packs/a/small"))).toEqual(Buffer.alloc(10));
});

test("a repository without a pack is left alone, and says so", async () => {
	await expect(damageRepository(folder)).rejects.toThrow("nothing is stored");
});
