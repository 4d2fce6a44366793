import { open, readdir, readFile, rename, truncate } from "node:fs/promises";
import { join } from "node:path";
import { JournalEntry } from "@sterna/migration/journal";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { MigrationId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { makeFolderDurably, removeDurably } from "../durable-file.ts";

const ending = ".jsonl";

/**
 * The journals of this host's moves: `<dataDir>/migrations/<migrationId>.jsonl`, one entry per line, only ever appended.
 * A last line without its end was being written when the power went: nothing was done on its word, so it is dropped.
 */
export class JournalFiles {
	readonly #folder: string;

	constructor(dataDir: string) {
		this.#folder = join(dataDir, "migrations");
	}

	/** Fulfilled when the entries would survive a power cut. */
	async append(migrationId: MigrationId, entries: readonly JournalEntry[]): Promise<void> {
		await makeFolderDurably(this.#folder);
		const file = await open(this.#path(migrationId), "a", 0o600);
		try {
			const isNew = (await file.stat()).size === 0;
			await file.appendFile(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
			await file.sync();
			if (isNew) await this.#syncFolder();
		} finally {
			await file.close();
		}
	}

	/** Empty when there is no such journal. @throws {SternaError} `invalid` when a whole line is damaged. */
	async read(migrationId: MigrationId): Promise<JournalEntry[]> {
		const path = this.#path(migrationId);
		const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return "";
			throw error;
		});
		const whole = text.slice(0, text.lastIndexOf("\n") + 1);
		// Cut off, so that the next line does not grow onto the torn one.
		if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole));
		return whole
			.split("\n")
			.slice(0, -1)
			.map((line, index) => parseEntry(line, `${path} line ${index + 1}`));
	}

	/** Takes a damaged journal out of the way without deleting it. */
	async putAside(migrationId: MigrationId): Promise<void> {
		await rename(this.#path(migrationId), `${this.#path(migrationId)}.damaged`);
		await this.#syncFolder();
	}

	/** Gone already: no change. */
	async remove(migrationId: MigrationId): Promise<void> {
		await removeDurably(this.#path(migrationId));
	}

	/** The ids of all journals, in no order. */
	async list(): Promise<MigrationId[]> {
		const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return [];
			throw error;
		});
		return names.flatMap((name) => {
			const id = MigrationId.safeParse(name.endsWith(ending) ? name.slice(0, -ending.length) : "");
			return id.success ? [id.data] : [];
		});
	}

	#path(migrationId: MigrationId): string {
		return join(this.#folder, `${migrationId}${ending}`);
	}

	async #syncFolder(): Promise<void> {
		const folder = await open(this.#folder, "r");
		try {
			await folder.sync();
		} finally {
			await folder.close();
		}
	}
}

function parseEntry(line: string, place: string): JournalEntry {
	try {
		return JournalEntry.parse(parseJson(line));
	} catch (thrown) {
		throw new SternaError("invalid", `${place} is damaged: ${asSternaError(thrown).message}`, { cause: thrown });
	}
}
