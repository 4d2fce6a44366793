/** Bounds how many batches are under way in a session, in the order of asking. */
export class BatchSlots {
	#free: number;
	readonly #waiting: (() => void)[] = [];

	constructor(slots: number) {
		this.#free = slots;
	}

	/** Fulfilled with the release of the slot. */
	async acquire(): Promise<() => void> {
		if (this.#free > 0) this.#free--;
		else await new Promise<void>((resolve) => this.#waiting.push(resolve));
		return () => {
			const next = this.#waiting.shift();
			if (next) next();
			else this.#free++;
		};
	}
}
