import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Spool, SpoolBudget } from "./spool.ts";

let root: string;
let budget: SpoolBudget;
let spool: Spool;
const sizes = { segmentBytes: 1000, unwrittenBytes: 100_000 };
const part = (n: number) => Buffer.alloc(300, n % 251);

beforeEach(async () => {
	root = await mkdtemp(join(tmpdir(), "sterna-spool-"));
	budget = new SpoolBudget(5000);
	spool = new Spool(join(root, "one"), budget, sizes);
});
afterEach(async () => {
	await spool.close();
	expect(budget.usedBytes).toBe(0);
	expect(await readdir(root)).toEqual([]);
	await rm(root, { recursive: true, force: true });
});

test("a reader that keeps up gets a file much larger than what may be held, in order, and what it has read is deleted", async () => {
	const [received, sent]: [Buffer[], Buffer[]] = [[], []];
	const pieces = spool.pieces();
	let most = 0;
	for (let n = 0; n < 200; n++) {
		sent.push(part(n));
		expect(spool.append(part(n))).toBe(true);
		const { value } = await pieces.next();
		if (value) received.push(value);
		most = Math.max(most, (await readdir(join(root, "one"))).length);
	}
	spool.end();
	for await (const piece of pieces) received.push(piece);
	expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true);
	expect(most).toBeLessThanOrEqual(3);
});

test("a reader that falls behind is refused the rest, with the reason, and nothing is held for it any more", async () => {
	const pieces = spool.pieces();
	for (let n = 0; n < 8; n++) expect(spool.append(part(n))).toBe(true);
	expect(spool.append(part(8))).toBe(false);
	expect(spool.append(part(9))).toBe(false);
	expect(spool.failed.reason).toMatchObject({ code: "no_capacity" });
	await expect(pieces.next()).rejects.toMatchObject({ code: "no_capacity", message: /too slow/ });
});

test("readers that have stopped leave room for one that keeps up", async () => {
	budget.limitBytes = 20_000;
	const stopped = ["two", "three"].map((name) => new Spool(join(root, name), budget, sizes));
	for (const other of stopped) for (let n = 0; n < 40; n++) other.append(part(n));
	expect(stopped.every(({ failed }) => failed.aborted)).toBe(true);
	const pieces = spool.pieces();
	for (let n = 0; n < 30; n++) {
		expect(spool.append(part(n))).toBe(true);
		expect((await pieces.next()).value).toEqual(part(n));
	}
	for (const other of stopped) await other.close();
});

test("one that finds no room is not blamed for being slow", async () => {
	budget.limitBytes = 100;
	expect(spool.append(part(0))).toBe(false);
	await expect(spool.pieces().next()).rejects.toMatchObject({ code: "no_capacity", message: /disk has no room/ });
});

test("what the sender fails with reaches the reader, and a file without bytes is a whole one", async () => {
	spool.append(part(0));
	spool.fail(new SternaError("not_found", "no such file"));
	await expect(spool.pieces().next()).rejects.toMatchObject({ code: "not_found" });
	const empty = new Spool(join(root, "empty"), budget, sizes);
	empty.end();
	expect(await empty.pieces().next()).toEqual({ done: true, value: undefined });
	await empty.close();
});
