import type { Logger } from "pino";

/** What was started, to be stopped in reverse. Register the way back right after each step. */
export class Undo {
	readonly #steps: { what: string; stop: () => Promise<unknown> }[] = [];
	readonly #log: Logger;

	constructor(log: Logger) {
		this.#log = log;
	}

	add(what: string, stop: () => Promise<unknown>): void {
		this.#steps.push({ what, stop });
	}

	/** Stops everything; a step that fails is logged and does not keep the others from being stopped. */
	async run(): Promise<void> {
		for (const { what, stop } of this.#steps.splice(0).reverse()) {
			await stop().catch((err) => this.#log.error({ err, what }, "not stopped cleanly"));
		}
	}
}
