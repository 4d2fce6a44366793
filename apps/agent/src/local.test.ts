import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { testFolder } from "./fixtures/test-agent.ts";
import { claimDataFolder } from "./local.ts";

test("a data folder is refused when an agent of another network namespace serves it, and free when that is gone", async () => {
	const folder = await testFolder();
	// What is seen of such an agent from here: its socket in the folder, and no name in this namespace.
	const other = createServer().listen(join(folder, "agent.sock"));
	onTestFinished(() => void other.close());
	await once(other, "listening");
	await expect(claimDataFolder(folder)).rejects.toMatchObject({ code: "conflict" });
	other.close();
	await once(other, "close");
	const release = await claimDataFolder(folder);
	await release();
});

test("a socket that a killed agent left behind keeps nobody from the folder", async () => {
	const folder = await testFolder();
	await writeFile(join(folder, "agent.sock"), "");
	const release = await claimDataFolder(folder);
	await release();
});
