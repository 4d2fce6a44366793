import type { RunEntry } from "@sterna/backup/run-journal";

/** Told of every line of a run's journal, once it is durable: where a fault test stops the agent. */
export type Observe = (entry: RunEntry) => Promise<void>;
