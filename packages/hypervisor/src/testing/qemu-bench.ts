import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureQemu, probeMemory } from "../../../../scripts/system/qemu.ts";
import type { VolumeLocation } from "../hypervisor.ts";
import { QemuHypervisor } from "../qemu/driver.ts";
import { runTool } from "../qemu/tool.ts";
import { writeCounterImage } from "./counter-image.ts";
import type { DriverUnderTest } from "./site.ts";

export interface QemuUnderTest extends DriverUnderTest {
	programs: { system: string; img: string };
	runFolder(server: string): string;
}

/** Real QEMU over a folder of its own, with the counting guest's image in it. */
export async function makeQemuUnderTest(): Promise<QemuUnderTest> {
	const { system, img } = await ensureQemu();
	const programs = { system, img };
	const folder = await mkdtemp(join(tmpdir(), "hv-"));
	await chmod(folder, 0o711);
	const image = join(folder, "counter.raw");
	await writeCounterImage(image);
	const readContent = async ({ path }: VolumeLocation) => {
		const raw = `${path}.raw`;
		const args = ["convert", "-f", "qcow2", "-O", "raw", path, raw];
		await runTool({ program: img, arguments: args, timeoutMs: 30_000, purpose: "read the guest's disk" });
		return readFile(raw).finally(() => rm(raw));
	};
	const runFolder = (server: string) => join(folder, server);
	return {
		folder,
		programs,
		runFolder,
		image: { path: image, format: "raw" },
		open: (server) => new QemuHypervisor({ programs, runFolder: runFolder(server), probeMemory }),
		kill: async (driver, guestId) => {
			const { pid } = await driver.inspect(guestId);
			if (pid === null) throw new Error("the guest has no process");
			process.kill(pid, "SIGKILL");
		},
		readCount: async (location) => (await readContent(location)).readUInt32LE(512),
		readContent,
		close: () => rm(folder, { recursive: true, force: true }),
	};
}
