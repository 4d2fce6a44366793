import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openDirectory, prepareDirectory } from "./directory.ts";

const run = promisify(execFile);

test("a full disk is no capacity, leaves nothing behind, and takes what still fits; unmounted it is out of reach", async () => {
	const folder = await mkdtemp(join(tmpdir(), "sterna-full-"));
	await run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]);
	let isMounted = true;
	try {
		await prepareDirectory(folder);
		const storage = await openDirectory(folder);
		await storage.put("packs/a", new Uint8Array(1024 * 1024));
		await expect(storage.put("packs/b", new Uint8Array(4 * 1024 * 1024))).rejects.toMatchObject({
			code: "no_capacity",
		});
		await expect(storage.create("points/b", new Uint8Array(4 * 1024 * 1024))).rejects.toMatchObject({
			code: "no_capacity",
		});
		expect(await readdir(join(folder, ".writing"))).toEqual([]);
		expect(await storage.size("packs/b")).toBeNull();
		await storage.put("points/a", Buffer.from("small"));
		expect((await storage.capacity()).capacityBytes).toBe(2 * 1024 * 1024);

		await run("umount", [folder]);
		isMounted = false;
		await expect(storage.get("packs/a")).rejects.toMatchObject({ code: "unavailable" });
		await expect(storage.put("packs/c", Buffer.from("c"))).rejects.toMatchObject({ code: "unavailable" });
		expect(await readdir(folder)).toEqual([]);
	} finally {
		if (isMounted) await run("umount", [folder]);
		await rm(folder, { recursive: true, force: true });
	}
});
