/** What was acquired, to be let go in reverse order: at a failure half-way, or at the end. */
export class Undo {
	readonly #steps: (() => Promise<void> | void)[] = [];

	add(step: () => Promise<void> | void): void {
		this.#steps.push(step);
	}

	/** Runs every step once, also when one fails. @throws the first failure. */
	async run(): Promise<void> {
		const failures: unknown[] = [];
		for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
			try {
				await step();
			} catch (error) {
				failures.push(error);
			}
		}
		if (failures.length > 0) throw failures[0];
	}
}
