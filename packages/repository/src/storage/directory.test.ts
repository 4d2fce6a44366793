import { mkdir, mkdtemp, readdir, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Storage } from "../storage.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { checkPlace } from "./check-place.ts";
import { markerName, openDirectory, prepareDirectory } from "./directory.ts";
import { storageError } from "./directory-errors.ts";
import { describeStorage } from "./storage-contract.ts";

const folders: string[] = [];
afterEach(async () => {
	for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function newPlace(): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "sterna-place-"));
	folders.push(folder);
	await prepareDirectory(folder);
	return folder;
}

async function listed(storage: Storage, prefix: string) {
	const objects: { key: string; sizeBytes: number }[] = [];
	for await (const object of storage.list(prefix)) objects.push(object);
	return objects;
}

const contractFolder = mkdtemp(join(tmpdir(), "sterna-place-"));
describeStorage("a folder", async () => {
	const folder = await contractFolder;
	await prepareDirectory(folder);
	return openDirectory(folder);
});

const memory = new MemoryStorage();
describeStorage("memory", async () => memory);

test("a share that is not mounted is out of reach, never an empty repository", async () => {
	const folder = await newPlace();
	const storage = await openDirectory(folder);
	await storage.put("points/a", Buffer.from("a"));
	await rename(folder, `${folder}-unmounted`);
	folders.push(`${folder}-unmounted`);
	await mkdir(folder);

	await expect(openDirectory(folder)).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.get("points/a")).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.size("points/a")).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.put("points/b", Buffer.from("b"))).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.create("points/b", Buffer.from("b"))).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.remove("points/a")).rejects.toMatchObject({ code: "unavailable" });
	await expect(listed(storage, "points/")).rejects.toMatchObject({ code: "unavailable" });
	await expect(storage.capacity()).rejects.toMatchObject({ code: "unavailable" });
	expect(await readdir(folder)).toEqual([]);
});

test("a folder that holds other things does not become a repository; one that is prepared stays as it is", async () => {
	const folder = await newPlace();
	await prepareDirectory(folder);
	await rm(join(folder, markerName));
	await writeFile(join(folder, "letters.txt"), "dear …");
	await expect(prepareDirectory(folder)).rejects.toMatchObject({ code: "conflict" });
	await expect(prepareDirectory(join(folder, "nothing"))).rejects.toBeInstanceOf(Error);
});

test("no link leads out of the folder", async () => {
	const [folder, outside] = [await newPlace(), await mkdtemp(join(tmpdir(), "sterna-outside-"))];
	folders.push(outside);
	await writeFile(join(outside, "secret"), "secret");
	await symlink(outside, join(folder, "packs"));
	await mkdir(join(folder, "points"));
	await symlink(join(outside, "secret"), join(folder, "points", "a"));
	const storage = await openDirectory(folder);

	await expect(storage.get("packs/secret")).rejects.toMatchObject({ code: "forbidden" });
	await expect(storage.put("packs/b", Buffer.from("b"))).rejects.toMatchObject({ code: "forbidden" });
	await expect(storage.remove("packs/secret")).rejects.toMatchObject({ code: "forbidden" });
	await expect(storage.get("points/a")).rejects.toMatchObject({ code: "forbidden" });
	expect(await listed(storage, "")).toEqual([]);
	expect(await readdir(outside)).toEqual(["secret"]);
});

test("what a dead writer left half-written is taken away, what a living one writes is not", async () => {
	const folder = await newPlace();
	const storage = await openDirectory(folder);
	await storage.put("points/a", Buffer.from("a"));
	const [old, fresh] = [join(folder, ".writing", "dead.tmp"), join(folder, ".writing", "living.tmp")];
	await writeFile(old, "half");
	await writeFile(fresh, "half");
	const before = new Date(Date.now() - 25 * 3600 * 1000);
	await utimes(old, before, before);
	expect(await listed(storage, "")).toEqual([{ key: "points/a", sizeBytes: 1 }]);
	await storage.tidy();
	expect(await readdir(join(folder, ".writing"))).toEqual(["living.tmp"]);
});

test("a place that lets a second creation win is refused before a repository is made there", async () => {
	await checkPlace(new MemoryStorage());
	const careless = new MemoryStorage();
	careless.create = (key, data) => careless.put(key, data);
	await expect(checkPlace(careless)).rejects.toMatchObject({ code: "incompatible" });
	expect(careless.objects.size).toBe(0);
});

test.each([
	["ENOSPC", "no_capacity"],
	["EDQUOT", "no_capacity"],
	["EIO", "unavailable"],
	["ESTALE", "unavailable"],
	["ETIMEDOUT", "unavailable"],
	["EROFS", "forbidden"],
	["EACCES", "forbidden"],
	["ENOENT", "not_found"],
	["EEXIST", "conflict"],
])("%s is %s to who uses the repository", (errno, code) => {
	const error = Object.assign(new Error(`${errno}: /secret/path`), { code: errno });
	expect(storageError(error, "packs/a")).toMatchObject({ code });
	expect(storageError(error, "packs/a").message).not.toContain("/secret/path");
});
