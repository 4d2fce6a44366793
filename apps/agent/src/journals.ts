import { open, readdir, readFile, rename, truncate } from "node:fs/promises";
import { join } from "node:path";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { makeFolderDurably, removeDurably } from "./durable-file.ts";

const ending = ".jsonl";

/** The zod schemas of a task's id and of a line, as far as they are needed. */
interface IdSchema<Id> {
	safeParse(text: string): { success: boolean; data?: Id | undefined };
}
interface EntrySchema<Entry> {
	parse(value: unknown): Entry;
}

/**
 * The journals of one kind of task: `<folder>/<id>.jsonl`, one entry per line, only ever appended. A last line without its
 * end was being written when the power went: nothing was done on its word, so it is dropped.
 */
export class Journals<Id extends string, Entry> {
	readonly #folder: string;
	readonly #ids: IdSchema<Id>;
	readonly #entries: EntrySchema<Entry>;

	constructor(options: { folder: string; ids: IdSchema<Id>; entries: EntrySchema<Entry> }) {
		this.#folder = options.folder;
		this.#ids = options.ids;
		this.#entries = options.entries;
	}

	/** Fulfilled when the entries would survive a power cut. */
	async append(id: Id, entries: readonly Entry[]): Promise<void> {
		await makeFolderDurably(this.#folder);
		const file = await open(this.#path(id), "a", 0o600);
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
	async read(id: Id): Promise<Entry[]> {
		const path = this.#path(id);
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
			.map((line, index) => this.#parse(line, `${path} line ${index + 1}`));
	}

	/** Takes a damaged journal out of the way without deleting it. */
	async putAside(id: Id): Promise<void> {
		await rename(this.#path(id), `${this.#path(id)}.damaged`);
		await this.#syncFolder();
	}

	/** Gone already: no change. */
	async remove(id: Id): Promise<void> {
		await removeDurably(this.#path(id));
	}

	/** The ids of all journals, in no order. */
	async list(): Promise<Id[]> {
		const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return [];
			throw error;
		});
		return names.flatMap((name) => {
			const id = this.#ids.safeParse(name.endsWith(ending) ? name.slice(0, -ending.length) : "");
			return id.data === undefined ? [] : [id.data];
		});
	}

	#path(id: Id): string {
		return join(this.#folder, `${id}${ending}`);
	}

	async #syncFolder(): Promise<void> {
		const folder = await open(this.#folder, "r");
		try {
			await folder.sync();
		} finally {
			await folder.close();
		}
	}

	#parse(line: string, place: string): Entry {
		try {
			return this.#entries.parse(parseJson(line));
		} catch (thrown) {
			throw new SternaError("invalid", `${place} is damaged: ${asSternaError(thrown).message}`, { cause: thrown });
		}
	}
}
