import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Changes } from "../changes.ts";
import { distinctValues, EventLog } from "../events/log.ts";
import { type OpenDatabase, openDatabase } from "./database.ts";
import { type EmbeddedPostgres, startPostgres } from "./postgres.ts";
import * as schema from "./schema.ts";

const migrations = join(import.meta.dirname, "../../drizzle");
const log = pino({ level: "silent" });
let dir: string;
let postgres: EmbeddedPostgres;
let open: OpenDatabase;

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), "sterna-d-"));
	postgres = await startPostgres(dir);
	open = await openDatabase(postgres.url, migrations, log);
});
afterAll(async () => {
	await open.close();
	await postgres.stop();
	rmSync(dir, { recursive: true, force: true });
});

const pidOf = () => Number(readFileSync(join(dir, "data", "postmaster.pid"), "utf8").split("\n")[0]);

describe("the embedded PostgreSQL", () => {
	test("listens on its socket only, and keeps its folder to itself", async () => {
		const client = new pg.Client({ connectionString: postgres.url });
		await client.connect();
		const { rows } = await client.query("show listen_addresses");
		expect(rows[0].listen_addresses).toBe("");
		await client.end();
	});

	test("is adopted, not started twice, by a second console", async () => {
		const before = pidOf();
		const again = await startPostgres(dir);
		expect(pidOf()).toBe(before);
		expect(again.url).toBe(postgres.url);
	});

	test("turns a second console away from the same database", async () => {
		await expect(openDatabase(postgres.url, migrations, log)).rejects.toMatchObject({ code: "conflict" });
	});

	test("loses nothing that was committed when it is killed, and comes back", async () => {
		await open.db.insert(schema.settings).values({ key: "kept", value: 1 });
		await open.close();
		process.kill(pidOf(), "SIGKILL");
		postgres = await startPostgres(dir);
		open = await openDatabase(postgres.url, migrations, log);
		const rows = await open.db.select().from(schema.settings);
		expect(rows.map(({ key }) => key)).toContain("kept");
	});

	test("is refused in a folder whose path is too long for a socket", async () => {
		await expect(startPostgres(join(dir, "x".repeat(100)))).rejects.toMatchObject({ code: "invalid" });
	});
});

test("the sum of the migrations is the schema: nothing is left to generate", async () => {
	// drizzle-kit is CommonJS; its API compares two snapshots as `generate` does.
	const require = createRequire(import.meta.url);
	const { generateDrizzleJson, generateMigration } = require("drizzle-kit/api") as typeof import("drizzle-kit/api");
	const journal = JSON.parse(readFileSync(join(migrations, "meta/_journal.json"), "utf8"));
	const last = String(journal.entries.at(-1).idx).padStart(4, "0");
	const snapshot = JSON.parse(readFileSync(join(migrations, `meta/${last}_snapshot.json`), "utf8"));
	const { user, session, account, verification, ...own } = schema;
	const now = generateDrizzleJson({ user, session, account, verification, ...own }, snapshot.id);
	expect(await generateMigration(snapshot, now)).toEqual([]);
});

describe("the event log", () => {
	test("is a chain that shows where it was changed, and refuses to be changed", async () => {
		const events = new EventLog(open.db, new Changes());
		const event = (sentence: string) => ({
			kind: "test.done",
			actor: "ann",
			objects: [],
			sentence,
			evidence: { b: 1, a: [2] },
		});
		await Promise.all(["one", "two", "three", "four"].map((word) => events.append(event(word))));
		expect(await events.verify()).toEqual({ events: 4, brokenAt: null });
		await expect(open.db.execute(sql`update events set sentence = 'x'`)).rejects.toThrow();
		await expect(open.db.execute(sql`delete from events`)).rejects.toThrow();
		// Who owns the database can take the guard away; the chain still tells.
		await open.db.execute(sql`alter table events disable trigger events_are_append_only`);
		await open.db.execute(sql`update events set sentence = 'x' where sequence = 3`);
		expect(await events.verify()).toEqual({ events: 0, brokenAt: 3 });
		await open.db.execute(sql`alter table events enable trigger events_are_append_only`);
	});

	test("names who acted and what happened by its indexes, however long it is", async () => {
		await open.db.execute(sql`
			insert into events (sequence, at, kind, actor, objects, sentence, previous_hash, hash)
			select 1000 + n, now(), 'kind.' || n % 7, 'person ' || n % 5, '[]', 'x', '', '' from generate_series(1, 20000) n`);
		await open.db.execute(sql`analyze events`);
		const { actors, kinds } = await new EventLog(open.db, new Changes()).facets();
		expect(actors).toEqual(["ann", ...Array.from({ length: 5 }, (_, n) => `person ${n}`)]);
		expect(kinds).toEqual([...Array.from({ length: 7 }, (_, n) => `kind.${n}`), "test.done"]);
		for (const column of ["actor", "kind"] as const) {
			const { rows } = await open.db.execute(sql`explain (analyze, timing off) ${distinctValues(column)}`);
			const plan = rows.map((row) => String(row["QUERY PLAN"])).join("\n");
			expect(plan).toMatch(new RegExp(`Index Only Scan using events_${column}_index`));
			expect(plan).not.toMatch(/Seq Scan|Bitmap/);
		}
	});
});
