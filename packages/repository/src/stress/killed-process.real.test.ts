import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openRepository } from "../open.ts";
import { openDirectory, prepareDirectory } from "../storage/directory.ts";
import { newRepository, restored, testKey } from "../testing/points.ts";
import { blockSizeBytes, contentOf, volumeId } from "./killed-writer.ts";
import { Random } from "./random.ts";

const kills = 5;
const program = fileURLToPath(new URL("./killed-writer.ts", import.meta.url));

/** Lets a process work in the folder and kills it at a moment that nobody chose. Returns the last point that it told of. */
async function workUntilKilled(folder: string, repositoryId: string, random: Random): Promise<number> {
	const args = ["--disable-warning=ExperimentalWarning", program, "--folder", folder, "--repositoryId", repositoryId];
	const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
	const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
	let last = 0;
	let patience = 1 + random.below(3);
	for await (const line of createInterface({ input: child.stdout })) {
		last = Number(line);
		// The fault itself: the pause only moves the blow into one step or another.
		if (--patience === 0) setTimeout(() => child.kill("SIGKILL"), random.below(120));
	}
	await ended;
	return last;
}

test("a process that is killed leaves a folder in which every visible point restores bit by bit", async () => {
	const folder = await mkdtemp(join(tmpdir(), "sterna-killed-"));
	try {
		await prepareDirectory(folder);
		const { repository, repositoryId } = await newRepository({ storage: await openDirectory(folder), blockSizeBytes });
		await repository.close();
		const random = new Random(3);
		for (let kill = 0; kill < kills; kill++) {
			const last = await workUntilKilled(folder, repositoryId, random);
			const opened = await openRepository(await openDirectory(folder), { repositoryId, key: testKey });
			const { points, unreadable } = await opened.points();
			expect(unreadable).toEqual([]);
			expect(Math.max(...points.map(({ takenAt }) => takenAt))).toBeGreaterThanOrEqual(last);
			for (const { pointId, takenAt } of points) {
				expect(Buffer.compare(await restored(opened, pointId, volumeId), contentOf(takenAt))).toBe(0);
			}
			expect((await opened.scrub({ signal: AbortSignal.timeout(60_000) })).damages).toEqual([]);
			await opened.close();
		}
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
});
