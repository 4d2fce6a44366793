import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import {
	type FileHandle,
	link,
	lstat,
	mkdir,
	open,
	opendir,
	readdir,
	realpath,
	rename,
	rm,
	rmdir,
	statfs,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { checkStorageKey, checkStoragePrefix, type Storage } from "../storage.ts";
import { errnoOf, storageError } from "./directory-errors.ts";

/**
 * Stands in the root of every folder that holds a repository. An NFS share that is not mounted leaves an empty folder: without
 * this file it is out of reach, never "an empty repository". No key has capital letters, so it is in nobody's way.
 */
export const markerName = "STERNA-REPOSITORY.txt";
const markerText =
	"This folder is a backup repository of Sterna. Its files belong together: do not move, change or delete single ones.\n";

/** Where writers build what they then put into its place. */
const writingFolder = ".writing";
/** By the file server's own clock. A living writer needs minutes for one object; if it was slower, it writes it again. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * Makes an existing folder a place for a repository. Already one: no change.
 * @throws {SternaError} `conflict` when the folder holds other things, `unavailable` when it is not there.
 */
export async function prepareDirectory(path: string): Promise<void> {
	try {
		const names = await readdir(path);
		if (names.includes(markerName)) return;
		if (names.some((name) => name !== "lost+found")) {
			throw new SternaError(
				"conflict",
				"the folder for the repository is not empty, and what it holds is no repository",
				{
					cure: "name an empty folder",
				},
			);
		}
		const file = await open(join(path, markerName), "w", 0o600);
		try {
			await file.writeFile(markerText);
			await file.sync();
		} finally {
			await file.close();
		}
		await syncFolder(path);
	} catch (error) {
		throw error instanceof SternaError ? error : storageError(error, "the repository's folder");
	}
}

/**
 * A repository's folder: a local disk, or an NFS share that several servers mount. What a share needs to be mounted with, and
 * why, says docs/decisions/0011. @throws {SternaError} `unavailable` when the folder or its marker is not there.
 */
export async function openDirectory(path: string): Promise<Storage> {
	try {
		const root = await realpath(path);
		const storage = new Directory(root);
		await storage.assertPlace();
		return storage;
	} catch (error) {
		throw error instanceof SternaError
			? error
			: new SternaError("unavailable", "the repository's folder cannot be opened", { cause: error });
	}
}

class Directory implements Storage {
	readonly locked = false;
	readonly #root: string;

	constructor(root: string) {
		this.#root = root;
	}

	async put(key: string, data: Uint8Array): Promise<void> {
		await this.#place(key, data, async (temporary, _file, target) => rename(temporary, target));
	}

	async create(key: string, data: Uint8Array): Promise<void> {
		await this.#place(key, data, async (temporary, file, target) => {
			try {
				await link(temporary, target);
			} catch (error) {
				// NFS repeats a call whose answer was lost: then the name that is in the way is our own.
				if (errnoOf(error) !== "EEXIST" || (await file.stat()).nlink !== 2) throw error;
			}
			await rm(temporary, { force: true });
		});
	}

	async get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
		return this.#run(key, async () => {
			const path = await this.#pathInside(key);
			const file = await openAgainWhenStale(path);
			try {
				const { size } = await regular(file);
				const from = Math.min(range?.offset ?? 0, size);
				return await readFully(file, from, Math.min(range?.length ?? size, size - from));
			} finally {
				await file.close();
			}
		});
	}

	async size(key: string): Promise<number | null> {
		return this.#run(key, async () => {
			const stats = await statOrNull(await this.#pathInside(key));
			if (stats === null) await this.assertPlace();
			return stats?.isFile() ? stats.size : null;
		}).catch((error: unknown) => {
			if (error instanceof SternaError && error.code === "not_found") return null;
			throw error;
		});
	}

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		checkStoragePrefix(prefix);
		try {
			yield* this.#walk(prefix);
			await this.assertPlace();
		} catch (error) {
			throw storageError(error, `the list of ${prefix || "all objects"}`);
		}
	}

	async remove(key: string): Promise<void> {
		await this.#run(key, async () => {
			const path = await this.#pathInside(key).catch((error: unknown) => {
				if (errnoOf(error) === "ENOENT") return null;
				throw error;
			});
			if (path === null) return this.assertPlace();
			await rm(path, { force: true });
			const folder = dirname(path);
			await syncFolder(folder);
			await this.assertPlace();
			// A folder of one session's packs; a writer that needs it again makes it again.
			if (key.split("/").length > 2) await rmdir(folder).catch(() => {});
		});
	}

	async capacity(): Promise<{ capacityBytes: number; freeBytes: number }> {
		return this.#run("", async () => {
			await this.assertPlace();
			const { blocks, bavail, bsize } = await statfs(this.#root);
			return { capacityBytes: blocks * bsize, freeBytes: bavail * bsize };
		});
	}

	async tidy(): Promise<void> {
		await this.#run("", async () => {
			const folder = join(this.#root, writingFolder);
			const names = await readdir(folder).catch(() => []);
			if (names.length === 0) return;
			// The ages of files are compared with a file made now on the same file server: no other clock counts.
			const probe = join(folder, newTemporaryName());
			await (await open(probe, "wx", 0o600)).close();
			const now = (await lstat(probe)).mtimeMs;
			await rm(probe, { force: true });
			for (const name of names) {
				const stats = await statOrNull(join(folder, name));
				if (stats && now - stats.mtimeMs > abandonedAfterMs) await rm(join(folder, name), { force: true });
			}
		});
	}

	async close(): Promise<void> {}

	/** @throws {SternaError} `unavailable` when what is mounted at the root is not the repository's file system. */
	async assertPlace(): Promise<void> {
		const marker = await statOrNull(join(this.#root, markerName)).catch(() => null);
		if (marker?.isFile()) return;
		throw new SternaError("unavailable", `the repository's folder is not there: it lacks ${markerName}`, {
			cure: "mount the file system that holds the repository; in a copy of a repository, copy this file too",
		});
	}

	/** Writes beside, makes it durable, puts it into its place, makes that durable, and sees that the place was the right one. */
	async #place(
		key: string,
		data: Uint8Array,
		move: (temporary: string, file: FileHandle, target: string) => Promise<void>,
	): Promise<void> {
		checkStorageKey(key);
		const temporary = join(this.#root, writingFolder, newTemporaryName());
		await this.#run(key, async () => {
			await this.assertPlace();
			await makeFolders(this.#root, writingFolder);
			const file = await open(temporary, "wx", 0o600);
			try {
				await file.writeFile(data);
				await file.sync();
				const folder = dirname(join(this.#root, key));
				await insistently(async () => {
					await makeFolders(this.#root, dirname(key));
					await move(temporary, file, await this.#pathInside(key));
				});
				await syncFolder(folder);
				await this.assertPlace();
			} finally {
				await file.close();
				await rm(temporary, { force: true }).catch(() => {});
			}
		});
	}

	/** The path of an object; no folder on the way may be a link that leads out of the root. */
	async #pathInside(key: string): Promise<string> {
		checkStorageKey(key);
		const folder = dirname(join(this.#root, key));
		if ((await realpath(folder)) !== folder) {
			throw new SternaError("forbidden", `a folder of ${key} is a symbolic link; the repository follows none`, {
				cure: "take the link away: the repository's folders are made by Sterna alone",
			});
		}
		return join(this.#root, key);
	}

	async *#walk(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		const names: { name: string; isFolder: boolean }[] = [];
		try {
			for await (const entry of await opendir(join(this.#root, prefix))) {
				if (/^[a-z0-9]/.test(entry.name)) names.push({ name: entry.name, isFolder: entry.isDirectory() });
			}
		} catch (error) {
			if (errnoOf(error) === "ENOENT") return;
			throw error;
		}
		for (const { name, isFolder } of names) {
			if (isFolder) {
				yield* this.#walk(`${prefix}${name}/`);
				continue;
			}
			const stats = await statOrNull(join(this.#root, prefix, name));
			if (stats?.isFile()) yield { key: `${prefix}${name}`, sizeBytes: stats.size };
		}
	}

	async #run<Result>(key: string, action: () => Promise<Result>): Promise<Result> {
		try {
			return await action();
		} catch (error) {
			// Nothing under this name, or no repository at all: the marker tells.
			if (errnoOf(error) === "ENOENT") await this.assertPlace();
			throw storageError(error, key || "the repository's folder");
		}
	}
}

function newTemporaryName(): string {
	return `${randomBytes(12).toString("hex")}.tmp`;
}

/** Another host may take an empty folder away between its making and its use. */
async function insistently(action: () => Promise<void>): Promise<void> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await action();
		} catch (error) {
			if (errnoOf(error) !== "ENOENT" || attempt === 5) throw error;
		}
	}
}

/** The folders of a relative path, each durable in its parent. */
async function makeFolders(root: string, relative: string): Promise<void> {
	let folder = root;
	for (const name of relative.split("/").filter((part) => part !== ".")) {
		const parent = folder;
		folder = join(folder, name);
		try {
			await mkdir(folder, { mode: 0o700 });
			await syncFolder(parent);
		} catch (error) {
			if (errnoOf(error) !== "EEXIST") throw error;
		}
	}
}

/** An NFS client may hold on to a file that another host replaced: opened again, it is the new one. */
async function openAgainWhenStale(path: string): Promise<FileHandle> {
	const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
	try {
		return await open(path, flags);
	} catch (error) {
		if (errnoOf(error) !== "ESTALE") throw error;
		return open(path, flags);
	}
}

async function regular(file: FileHandle): Promise<Stats> {
	const stats = await file.stat();
	if (!stats.isFile())
		throw new SternaError("not_found", "a folder stands where an object of the repository should be");
	return stats;
}

async function readFully(file: FileHandle, from: number, lengthBytes: number): Promise<Uint8Array> {
	const bytes = new Uint8Array(lengthBytes);
	let filled = 0;
	while (filled < lengthBytes) {
		const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, from + filled);
		if (bytesRead === 0) break;
		filled += bytesRead;
	}
	return filled === lengthBytes ? bytes : bytes.subarray(0, filled);
}

async function statOrNull(path: string): Promise<Stats | null> {
	try {
		return await lstat(path);
	} catch (error) {
		if (errnoOf(error) === "ENOENT") return null;
		throw error;
	}
}

async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, "r");
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}
