import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { expect, onTestFinished, test, vi } from "vitest";
import { growVolume } from "./grow.ts";
import type { ToolRun } from "./tool.ts";

/** How long the disk takes to write what a tool changes, in the time of this test. */
const slowDiskMs = 10 * 60_000;
const { ran } = vi.hoisted(() => ({ ran: [] as string[] }));

vi.mock("./tool.ts", () => ({
	async runTool({ arguments: [verb = "", ...rest], timeoutMs, purpose }: ToolRun): Promise<string> {
		const bitmaps = [{ name: "st-lost", flags: ["in-use"] }];
		const info = { "virtual-size": GiB, "actual-size": 0, "format-specific": { data: { bitmaps } } };
		if (verb === "info") return JSON.stringify({ format: "qcow2", ...info });
		if (timeoutMs < slowDiskMs) throw new SternaError("timeout", `could not ${purpose} within ${timeoutMs} ms`);
		ran.push(rest.includes("--remove") ? `${verb} --remove` : verb);
		return "";
	},
}));

test("a volume on a disk that takes minutes for it is grown: the tool is not killed, which would lose its bitmaps", async () => {
	const folder = await mkdtemp(join(tmpdir(), "grow-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, "volume.qcow2");
	await writeFile(path, "");
	await growVolume("qemu-img", null, {
		...{ guestId: newId(GuestId), volumeId: newId(VolumeId) },
		...{ path, sizeBytes: 2 * GiB },
	});
	expect(ran).toEqual(["bitmap --remove", "resize"]);
});
