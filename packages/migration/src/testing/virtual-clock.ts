import type { Clock } from "../ports.ts";

/** Time that passes only when everything waits for it. */
export class VirtualClock implements Clock {
	#now = 1_000_000;
	#timers: { at: number; action: () => void }[] = [];

	now(): number {
		return this.#now;
	}

	after(delayMs: number, action: () => void): () => void {
		const timer = { at: this.#now + delayMs, action };
		this.#timers.push(timer);
		return () => {
			this.#timers = this.#timers.filter((other) => other !== timer);
		};
	}

	/** An agent that starts again takes its time. */
	pass(durationMs: number): void {
		this.#now += durationMs;
	}

	/** Lets time pass until `promise` is settled. Throws when an hour was not enough. */
	async drive<T>(promise: Promise<T>): Promise<T> {
		let settled = false;
		const settle = () => {
			settled = true;
		};
		promise.then(settle, settle);
		const end = this.#now + 3_600_000;
		for (;;) {
			await new Promise((resolve) => setImmediate(resolve));
			if (settled) return promise;
			const next = this.#timers.reduce((a, b) => (a && a.at <= b.at ? a : b), this.#timers[0]);
			if (!next || next.at > end) throw new Error("it waits for something that never comes");
			this.#timers = this.#timers.filter((timer) => timer !== next);
			this.#now = next.at;
			next.action();
		}
	}
}
