import { SternaError } from "@sterna/shared/errors";

interface Failures {
	count: number;
	/** Nothing is tried before this time. */
	waitUntil: number;
	lastAt: number;
}

/** Mistyping is free, guessing is not. */
const freeFailures = 5;
const firstWaitMs = 1000;
const longestWaitMs = 5 * 60_000;
/** After this long without a failure the count begins anew. */
const forgetMs = 15 * 60_000;
const maxKeys = 10_000;

/**
 * Slows guessing down: after five failures of one key (an account, an address) every further one doubles the wait, from
 * one second to five minutes. Kept in memory; a restart forgives.
 */
export class Throttle {
	readonly #failures = new Map<string, Failures>();
	readonly #now: () => number;

	constructor(now: () => number = Date.now) {
		this.#now = now;
	}

	/**
	 * Counts the try as failed until `succeeded` says otherwise: many at the same moment are as many guesses, and each costs
	 * the console a slow hash.
	 * @throws {SternaError} `unavailable` that says how long to wait; the try is not counted then.
	 */
	begin(...keys: string[]): void {
		this.check(...keys);
		this.failed(...keys);
	}

	/** @throws {SternaError} `unavailable` that says how long to wait. */
	check(...keys: string[]): void {
		const now = this.#now();
		const waitMs = Math.max(0, ...keys.map((key) => (this.#failures.get(key)?.waitUntil ?? 0) - now));
		if (waitMs <= 0) return;
		throw new SternaError("unavailable", "too many failed attempts", {
			cure: `wait ${Math.ceil(waitMs / 1000)} s, then try again`,
		});
	}

	failed(...keys: string[]): void {
		const now = this.#now();
		for (const key of keys) {
			const before = this.#failures.get(key);
			const count = before && now - before.lastAt < forgetMs ? before.count + 1 : 1;
			const waitMs = count < freeFailures ? 0 : Math.min(firstWaitMs * 2 ** (count - freeFailures), longestWaitMs);
			this.#failures.delete(key);
			this.#failures.set(key, { count, waitUntil: now + waitMs, lastAt: now });
		}
		for (const key of this.#failures.keys()) {
			if (this.#failures.size <= maxKeys) break;
			this.#failures.delete(key);
		}
	}

	succeeded(...keys: string[]): void {
		for (const key of keys) this.#failures.delete(key);
	}
}
