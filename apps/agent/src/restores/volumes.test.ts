import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId, VolumeId } from "@sterna/shared/ids";
import { expect, onTestFinished, test } from "vitest";
import { placeVolumes, type RestoredVolume, takeBack } from "./volumes.ts";

async function restoredDisk(): Promise<{ folder: string; volume: RestoredVolume }> {
	const folder = await mkdtemp(join(tmpdir(), "rv-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	const volumeId = newId(VolumeId);
	const at = (name: string) => ({ volumeId, path: join(folder, name) });
	const volume = { ...at("disk"), sizeBytes: 1, made: at("disk.made"), aside: at("disk.before") };
	await writeFile(volume.made.path, "restored");
	return { folder, volume };
}

test("a disk that was restored over is back after an undo, and stays through every further one", async () => {
	const { folder, volume } = await restoredDisk();
	await writeFile(volume.path, "original");
	await placeVolumes([volume]);
	expect(await readFile(volume.path, "utf8")).toBe("restored");
	for (let undo = 1; undo <= 3; undo++) {
		await takeBack([volume], new Set([volume.volumeId]));
		expect(await readFile(volume.path, "utf8"), `undo ${undo}`).toBe("original");
	}
	expect(await readdir(folder)).toEqual(["disk"]);
});

test("a disk that was not there before is gone after an undo", async () => {
	const { folder, volume } = await restoredDisk();
	await placeVolumes([volume]);
	for (let undo = 1; undo <= 2; undo++) await takeBack([volume], new Set());
	expect(await readdir(folder)).toEqual([]);
});
