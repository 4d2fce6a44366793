import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { completeConfig } from "../config.ts";
import { testFolder } from "../fixtures/test-agent.ts";
import { openPlace, preparePlace } from "./place.ts";

async function host() {
	const folder = await testFolder();
	const dataDir = join(folder, "data");
	await mkdir(join(dataDir, "pools", "local"), { recursive: true });
	const config = completeConfig({ repositories: [{ name: "nas", path: join(folder, "nas") }] }, dataDir);
	return { folder, dataDir, config };
}

const nas = { kind: "directory" as const, name: "nas" };

test("a folder that the configuration does not name is refused, whatever its name looks like", async () => {
	const here = await host();
	await expect(openPlace({ kind: "directory", name: "tape" }, here)).rejects.toMatchObject({ code: "not_found" });
});

test("a mount point without its mount is out of reach: it is neither made nor filled", async () => {
	const here = await host();
	await expect(preparePlace(nas, here)).rejects.toMatchObject({ code: "unavailable" });
	await mkdir(join(here.folder, "nas"));
	await expect(openPlace(nas, here)).rejects.toMatchObject({ code: "unavailable" });
	expect(await readdir(join(here.folder, "nas"))).toEqual([]);
});

test("a link that leads into a storage pool is found out when the folder is opened", async () => {
	const here = await host();
	await symlink(join(here.dataDir, "pools", "local"), join(here.folder, "nas"));
	await expect(preparePlace(nas, here)).rejects.toMatchObject({ code: "invalid" });
	expect(await readdir(join(here.dataDir, "pools", "local"))).toEqual([]);
});
