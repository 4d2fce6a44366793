import { GiB } from "@sterna/shared/units";

export interface SimulatedOptions {
	/** Folder of the guests' files; short, because sockets are made in it. */
	runFolder: string;
	/** How often a guest counts. */
	tickMs?: number;
	/** The virtual link, and what guests rewrite on it; in `copyMemory` one step takes `stepMs` of real time. */
	linkBytesPerSecond?: number;
	dirtyBytesPerSecond?: number;
	stepMs?: number;
	/** How long the source waits for the target's receipt. */
	answerMs?: number;
	qemuVersion?: string;
}

/** The options with every default filled in. */
export function completeOptions(options: SimulatedOptions): Required<SimulatedOptions> {
	const defaults = {
		tickMs: 1000,
		linkBytesPerSecond: GiB,
		dirtyBytesPerSecond: 0,
		stepMs: 10,
		answerMs: 5000,
		qemuVersion: "10.0.0",
	};
	return { ...defaults, ...options };
}
