import { join } from "node:path";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { destination, pino } from "pino";
import { startAgent } from "../../agent.ts";
import { readConfig } from "../../config.ts";
import type { Point } from "../observe.ts";
import { createMigrationService } from "../service.ts";

/** What the test tells the process: stop at that place; go on; the leases of arriving guests are over now. */
export type Order = { do: "pauseAt"; point: Point } | { do: "go" } | { do: "endLeases" };
/** What the process tells the test. */
export type Word = { is: "started" } | { is: "ordered" } | { is: "paused"; point: Point };

/**
 * A whole agent in a process of its own, as `main.ts` starts it, which in addition stands still at a place of a move when
 * it is told to: so that it can be killed exactly there. Its argument is the data folder.
 */
const [dataDir] = process.argv.slice(2);
if (!dataDir) throw new Error("the data folder is missing");

let pauseAt: Point | null = null;
let go: (() => void) | null = null;
/** Ends a lease that is running. */
const leases = new Set<() => void>();
const tell = (word: Word) => process.send?.(word);

process.on("message", (order: Order) => {
	if (order.do === "pauseAt") {
		pauseAt = order.point;
		tell({ is: "ordered" });
	} else if (order.do === "endLeases") {
		for (const end of [...leases]) end();
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

function after(delayMs: number, action: () => void): () => void {
	const take = () => {
		clearTimeout(timer);
		leases.delete(end);
	};
	const end = () => {
		take();
		action();
	};
	const timer = setTimeout(end, delayMs);
	leases.add(end);
	return take;
}

const config = await readConfig(dataDir);
const simulated = { runFolder: join(dataDir, "run"), tickMs: 50, stepMs: 5, dirtyBytesPerSecond: 0 };
const agent = await startAgent({
	dataDir,
	config,
	log: pino({ level: "debug" }, destination({ dest: join(dataDir, "agent.log"), sync: true })),
	linkTimes: { minBackoffMs: 50, maxBackoffMs: 200, heartbeatMs: 5000 },
	createMigrations: (context) => createMigrationService(context, { observe, after }),
	...(config.driver === "simulated" ? { hypervisor: new SimulatedHypervisor(simulated) } : {}),
});
process.once("SIGTERM", () => {
	void agent.close().then(() => process.exit(0));
});
tell({ is: "started" });
