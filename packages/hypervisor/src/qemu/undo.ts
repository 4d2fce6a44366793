/**
 * What has to be given back when a sequence fails: registered right after each acquisition, run in reverse order,
 * dropped on success. A step that fails does not keep the others from running.
 */
export class Undo {
	#steps: (() => unknown)[] = [];

	add(step: () => unknown): void {
		this.#steps.push(step);
	}

	drop(): void {
		this.#steps = [];
	}

	async run(): Promise<void> {
		for (const step of this.#steps.splice(0).reverse()) {
			try {
				await step();
			} catch {
				// Best effort: the failure that led here is the one to tell.
			}
		}
	}
}
