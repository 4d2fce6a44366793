import { join } from "node:path";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { destination, pino } from "pino";
import { startAgent } from "../../agent.ts";
import { readConfig } from "../../config.ts";
import type { Point } from "../observe.ts";
import { createMigrationService } from "../service.ts";

/** What the test tells the process: stop at that place; go on. */
export type Order = { do: "pauseAt"; point: Point } | { do: "go" };
/** What the process tells the test. */
export type Word = { is: "started" } | { is: "ordered" } | { is: "paused"; point: Point };

/**
 * A whole agent in a process of its own, as `main.ts` starts it, which in addition stands still at a place of a move when
 * it is told to: so that it can be killed exactly there. Its arguments are the data folder and, where it is not the usual
 * one, the lease of an arriving guest in milliseconds.
 */
const [dataDir, leaseMs] = process.argv.slice(2);
if (!dataDir) throw new Error("the data folder is missing");

let pauseAt: Point | null = null;
let go: (() => void) | null = null;
const tell = (word: Word) => process.send?.(word);

process.on("message", (order: Order) => {
	if (order.do === "pauseAt") {
		pauseAt = order.point;
		tell({ is: "ordered" });
	} else go?.();
});
// The test is gone: so are we.
process.on("disconnect", () => process.exit(1));

async function observe(point: Point): Promise<void> {
	if (point !== pauseAt) return;
	pauseAt = null;
	const released = new Promise<void>((resolve) => {
		go = resolve;
	});
	tell({ is: "paused", point });
	await released;
}

const config = await readConfig(dataDir);
const simulated = { runFolder: join(dataDir, "run"), tickMs: 50, stepMs: 5, dirtyBytesPerSecond: 0 };
const agent = await startAgent({
	dataDir,
	config,
	log: pino({ level: "debug" }, destination({ dest: join(dataDir, "agent.log"), sync: true })),
	linkTimes: { minBackoffMs: 50, maxBackoffMs: 200, heartbeatMs: 5000 },
	createMigrations: (context) =>
		createMigrationService(context, { observe, ...(leaseMs ? { leaseMs: Number(leaseMs) } : {}) }),
	...(config.driver === "simulated" ? { hypervisor: new SimulatedHypervisor(simulated) } : {}),
});
process.once("SIGTERM", () => {
	void agent.close().then(() => process.exit(0));
});
tell({ is: "started" });
