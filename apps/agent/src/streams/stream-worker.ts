import { parentPort, workerData } from "node:worker_threads";
import { asSternaError } from "@sterna/shared/errors";
import type { StreamConnection } from "./connection.ts";
import type { WorkerOrder, WorkerReport } from "./messages.ts";
import { openSource } from "./source.ts";
import { openTarget } from "./target.ts";

/**
 * The worker thread of one side of one transfer: a busy stream takes a whole core and must not hold up the agent.
 * It ends by being terminated, which closes every socket it has; what it says is in `WorkerReport`.
 */
const port = parentPort;
if (!port) throw new Error("stream-worker is to be started as a worker thread");

const reportPeriodMs = 250;
const order: WorkerOrder = workerData;
const tell = (report: WorkerReport) => port.postMessage(report);
const connections = new Map<string, StreamConnection>();

const events = {
	opened: (connection: StreamConnection) => void connections.set(connection.name, connection),
	finished: (stream: string) => {
		tellBytes();
		tell({ type: "finished", stream });
	},
	refused: (reason: string) => tell({ type: "refused", reason }),
	failed: (thrown: unknown) => {
		const error = asSternaError(thrown);
		for (const connection of connections.values()) connection.fail(error);
		tell({ type: "failed", error: error.toWire() });
	},
};

function tellBytes(): void {
	const streams = Object.fromEntries([...connections].map(([name, { bytes }]) => [name, { ...bytes }]));
	tell({ type: "bytes", streams });
}
setInterval(tellBytes, reportPeriodMs);

try {
	tell({
		type: "ready",
		...(order.side === "target" ? await openTarget(order, events) : await openSource(order, events)),
	});
} catch (thrown) {
	events.failed(thrown);
}
