import { chmod, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureQemu } from "../../../../scripts/system/qemu.ts";
import { describeHypervisorContract } from "../contract.ts";
import { writeCounterImage } from "../testing/counter-image.ts";
import { QemuHypervisor } from "./driver.ts";
import { runTool } from "./tool.ts";

describeHypervisorContract("the QEMU driver", async () => {
	const { system, img } = await ensureQemu();
	const folder = await mkdtemp(join(tmpdir(), "hv-"));
	await chmod(folder, 0o711);
	const image = join(folder, "counter.raw");
	await writeCounterImage(image);
	return {
		folder,
		image: { path: image, format: "raw" },
		open: (server) => new QemuHypervisor({ programs: { system, img }, runFolder: join(folder, server) }),
		kill: async (driver, guestId) => {
			const { pid } = await driver.inspect(guestId);
			if (pid === null) throw new Error("the guest has no process");
			process.kill(pid, "SIGKILL");
		},
		readCount: async ({ path }) => {
			const raw = `${path}.raw`;
			const purpose = "read the guest's disk";
			await runTool({
				program: img,
				arguments: ["convert", "-f", "qcow2", "-O", "raw", path, raw],
				timeoutMs: 30_000,
				purpose,
			});
			const file = await open(raw);
			try {
				const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 512);
				return buffer.readUInt32LE();
			} finally {
				await file.close();
			}
		},
		close: () => rm(folder, { recursive: true, force: true }),
	};
});
