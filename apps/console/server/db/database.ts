import { SternaError } from "@sterna/shared/errors";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import type { Logger } from "pino";
import * as schema from "./schema.ts";

export type Schema = typeof schema;
export type Database = NodePgDatabase<Schema>;
export type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

export interface OpenDatabase {
	db: Database;
	close(): Promise<void>;
}

/** Any number; the same in every console, different from other programs' that share the server. */
const consoleLock = 7_319_042_611;

/**
 * Connects, brings the schema up to date and takes the lock that keeps a second console off the same database.
 * @throws {SternaError} `conflict` when another console holds it.
 */
export async function openDatabase(url: string, migrationsFolder: string, log: Logger): Promise<OpenDatabase> {
	const pool = new pg.Pool({ connectionString: url, max: 10, idleTimeoutMillis: 30_000 });
	let closing = false;
	pool.on("error", ({ message }) => {
		if (!closing) log.warn({ message }, "database connection lost");
	});
	const guard = await lock(url);
	try {
		const db = drizzle(pool, { schema });
		await migrate(db, { migrationsFolder });
		return {
			db,
			close: async () => {
				closing = true;
				await pool.end();
				await guard.end();
			},
		};
	} catch (error) {
		await pool.end();
		await guard.end();
		throw error;
	}
}

async function lock(url: string): Promise<pg.Client> {
	const client = new pg.Client({ connectionString: url, keepAlive: true });
	client.on("error", () => {});
	await client.connect();
	// The backend of a console that was killed may need a moment to notice.
	await client.query("set lock_timeout = '3s'");
	try {
		await client.query("select pg_advisory_lock($1)", [consoleLock]);
		return client;
	} catch (cause) {
		await client.end();
		throw new SternaError("conflict", "another console works on this database", {
			cure: "stop it first, or give this one a database of its own",
			cause,
		});
	}
}
