import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import type { z } from "zod";

/** The data folder itself: guests, which run as users of their own, pass through it and cannot look around. */
export const dataFolderMode = 0o711;

/**
 * Writes a file so that after a power cut it holds either the old content or the new, never a part: a temporary file
 * beside it, fsync, rename, fsync of the folder. Fulfilled when the new content would survive.
 */
export async function writeDurably(path: string, text: string, mode = 0o600): Promise<void> {
	const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
	try {
		const file = await open(temporary, "wx", mode);
		try {
			await file.writeFile(text);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
	await syncFolder(dirname(path));
}

/** Takes away what `writeDurably` left in a folder when its process was killed half-way. Best effort: it does no harm. */
export async function removeHalfWritten(folder: string): Promise<void> {
	const names = await readdir(folder).catch(() => []);
	const left = names.filter((name) => /\.[0-9a-f]{12}\.tmp$/.test(name));
	await Promise.all(left.map((name) => rm(join(folder, name), { force: true }).catch(() => {})));
}

/** Removes a file so that it stays removed after a power cut. Not there: no change. */
export async function removeDurably(path: string): Promise<void> {
	await rm(path, { force: true });
	await syncFolder(dirname(path));
}

/** Makes a folder whose entry in its parent survives a power cut. There already: no change. */
export async function makeFolderDurably(path: string, mode = 0o700): Promise<void> {
	const made = await mkdir(path, { recursive: true, mode });
	if (made !== undefined) await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, "r");
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

/**
 * Reads a JSON file through its schema; null when there is no such file.
 * @throws {SternaError} `invalid`, naming the file, when its content is damaged or of another form.
 */
export async function readJsonFile<Schema extends z.ZodType>(
	path: string,
	schema: Schema,
): Promise<z.output<Schema> | null> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
		throw error;
	}
	try {
		return schema.parse(parseJson(text));
	} catch (thrown) {
		throw new SternaError("invalid", `${path} is damaged: ${asSternaError(thrown).message}`, {
			cure: "look at the file and restore it from a copy; it is never overwritten by the agent",
			cause: thrown,
		});
	}
}
