import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeHypervisorContract } from "../contract.ts";
import { SimulatedHypervisor } from "./driver.ts";
import { SimulatedVolume } from "./record.ts";

describeHypervisorContract("the simulated driver", async () => {
	const folder = await mkdtemp(join(tmpdir(), "sim-"));
	return {
		folder,
		image: undefined,
		open: (server) => new SimulatedHypervisor({ runFolder: join(folder, server), tickMs: 10, answerMs: 300 }),
		kill: async (driver, guestId) => {
			if (!(driver instanceof SimulatedHypervisor)) throw new Error("another driver's guest");
			await driver.crash(guestId);
		},
		readCount: async ({ path }) => SimulatedVolume.parse(JSON.parse(await readFile(path, "utf8"))).count,
		close: () => rm(folder, { recursive: true, force: true }),
	};
});
