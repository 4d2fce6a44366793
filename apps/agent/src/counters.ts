import { join } from "node:path";
import { z } from "zod";
import { readJsonFile, writeDurably } from "./durable-file.ts";

const CountersFile = z.strictObject({
	/** How often the agent has started. */
	runs: z.int().min(0),
	/** Connections to the console have numbers up to this one. */
	connections: z.int().min(0),
});

/** Generations of one run: two million runs of four billion changes fit into the integers that JSON carries safely. */
const generationsPerRun = 2 ** 32;
/** Numbers that are taken with one write: a host whose disk is full must not lose its console with the next broken line. */
const connectionsPerWrite = 1000;

/** Numbers that only ever rise, over restarts and whatever the clock does (`counters.json`). */
export class Counters {
	readonly #path: string;
	#state: z.infer<typeof CountersFile>;
	#generation: number;
	#connection: number;

	private constructor(path: string, state: z.infer<typeof CountersFile>) {
		this.#path = path;
		this.#state = state;
		this.#generation = state.runs * generationsPerRun;
		this.#connection = state.connections - connectionsPerWrite;
	}

	/** Begins a new run: its generations are higher than those of every earlier one. */
	static async open(dataDir: string): Promise<Counters> {
		const path = join(dataDir, "counters.json");
		const before = (await readJsonFile(path, CountersFile)) ?? { runs: 0, connections: 0 };
		const state = { runs: before.runs + 1, connections: before.connections + connectionsPerWrite };
		await writeDurably(path, JSON.stringify(state));
		return new Counters(path, state);
	}

	nextGeneration(): number {
		return ++this.#generation;
	}

	/** The number of the next connection; on disk before it is used, so that no number is used twice. */
	async nextConnection(): Promise<number> {
		if (this.#connection === this.#state.connections) {
			const state = { ...this.#state, connections: this.#state.connections + connectionsPerWrite };
			await writeDurably(this.#path, JSON.stringify(state));
			this.#state = state;
		}
		return ++this.#connection;
	}
}
