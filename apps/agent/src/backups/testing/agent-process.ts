import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { destination, pino } from "pino";
import { startAgent } from "../../agent.ts";
import { readConfig } from "../../config.ts";
import { createSavingServices } from "../../saving.ts";

/**
 * A whole agent in a process of its own, as `main.ts` starts it, which kills itself as soon as a journal has the line that
 * its second argument names, as `lineOf` says it. Its first argument is the data folder.
 */
const [dataDir, dieAt] = process.argv.slice(2);
if (!dataDir) throw new Error("the data folder is missing");

// The test is gone: so are we.
process.on("disconnect", () => process.exit(1));

/** `phaseBegan:copyBlocks`, `taken`. */
function lineOf(entry: { type: string; phase?: string }): string {
	return entry.phase === undefined ? entry.type : `${entry.type}:${entry.phase}`;
}

const observe = async (entry: { type: string; phase?: string }) => {
	if (lineOf(entry) === dieAt) process.kill(process.pid, "SIGKILL");
};

const agent = await startAgent({
	dataDir,
	config: await readConfig(dataDir),
	log: pino({ level: "debug" }, destination({ dest: join(dataDir, "agent.log"), sync: true })),
	linkTimes: { minBackoffMs: 50, maxBackoffMs: 200, heartbeatMs: 5000 },
	createSaving: (context, guests) => createSavingServices(context, guests, { observe }),
});
process.once("SIGTERM", () => {
	void agent.close().then(() => process.exit(0));
});
// At its end, as node does it, would be too late for one that is killed.
flushCompileCache();
process.send?.({ is: "started" });
