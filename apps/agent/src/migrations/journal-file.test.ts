import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JournalEntry } from "@sterna/migration/journal";
import { MigrationId, newId } from "@sterna/shared/ids";
import { afterEach, beforeEach, expect, test } from "vitest";
import { JournalFiles } from "./journal-file.ts";

let dataDir: string;
let journals: JournalFiles;
const id = newId(MigrationId);
const note = (text: string): JournalEntry => ({ type: "note", at: 1, text });
const path = () => join(dataDir, "migrations", `${id}.jsonl`);

beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "sterna-journal-"));
	journals = new JournalFiles(dataDir);
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

test("entries come back in the order in which they were appended, also by another life of the agent", async () => {
	await journals.append(id, [note("one"), note("two")]);
	await journals.append(id, [note("three")]);
	expect(await new JournalFiles(dataDir).read(id)).toEqual([note("one"), note("two"), note("three")]);
	expect(await journals.list()).toEqual([id]);
});

test("a last line that was torn by a power cut is dropped, and the next one stands alone", async () => {
	await journals.append(id, [note("whole")]);
	await appendFile(path(), '{"type":"note","at":1,"te');
	expect(await journals.read(id)).toEqual([note("whole")]);
	await journals.append(id, [note("next")]);
	expect(await journals.read(id)).toEqual([note("whole"), note("next")]);
});

test("a journal that is nothing but a torn line is empty", async () => {
	await journals.append(id, []);
	await writeFile(path(), '{"type":"op');
	expect(await journals.read(id)).toEqual([]);
});

test("a whole line that is damaged is an error that names file and line, and is never repaired silently", async () => {
	await journals.append(id, [note("one")]);
	await appendFile(path(), "nonsense\n");
	await expect(journals.read(id)).rejects.toThrow(`${path()} line 2 is damaged`);
	expect(await readFile(path(), "utf8")).toContain("nonsense");
});

test("a journal put aside is kept for a person to look at, and is no journal any more", async () => {
	await journals.append(id, [note("one")]);
	await journals.putAside(id);
	expect(await journals.read(id)).toEqual([]);
	expect(await journals.list()).toEqual([]);
	expect(await readdir(join(dataDir, "migrations"))).toEqual([`${id}.jsonl.damaged`]);
});

test("a journal that is removed is gone, and removing it again changes nothing", async () => {
	await journals.append(id, [note("one")]);
	await journals.remove(id);
	await journals.remove(id);
	expect(await new JournalFiles(dataDir).list()).toEqual([]);
});

test("without any move there is no journal", async () => {
	expect(await journals.list()).toEqual([]);
	expect(await journals.read(id)).toEqual([]);
});
