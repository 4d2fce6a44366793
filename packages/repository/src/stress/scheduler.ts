import type { Random } from "./random.ts";

/** Someone whose calls are scheduled; dead after a crash, which its calls never tell it. */
export interface Actor {
	readonly name: string;
	isDead: boolean;
}

const stepMs = 5000;
const usualSteps = 12;
const slowSteps = 1500;

interface Waiting {
	actor: Actor;
	readyAt: number;
	go(): void;
	/** What the call would have done, for an actor that dies in it. */
	effect(): void;
}

/**
 * Virtual time: one call of one actor at a time, chosen by the seed. Most calls come soon; some take so long that whole rounds
 * of others pass.
 */
export class Scheduler {
	readonly #random: Random;
	readonly #waiting: Waiting[] = [];
	readonly #slowRate: number;
	readonly #intervals = new Map<object, { everySteps: number; dueAt: number; run(): void }>();
	/** Calls made so far, and the time that slow calls took. */
	steps = 0;

	constructor(random: Random, slowRate: number) {
		this.#random = random;
		this.#slowRate = slowRate;
	}

	/** Virtual milliseconds. */
	get nowMs(): number {
		return this.steps * stepMs;
	}

	/** What beats in the repository's code beats in virtual time until the returned function is called. */
	takeIntervals(): () => void {
		const { setInterval: realSet, clearInterval: realClear } = globalThis;
		const set = (run: () => void, everyMs: number) => {
			const timer = { unref: () => timer };
			const everySteps = Math.ceil(everyMs / stepMs);
			this.#intervals.set(timer, { everySteps, dueAt: this.steps + everySteps, run });
			return timer;
		};
		Object.assign(globalThis, {
			setInterval: set,
			clearInterval: (timer: object) => void this.#intervals.delete(timer),
		});
		return () => void Object.assign(globalThis, { setInterval: realSet, clearInterval: realClear });
	}

	/** Takes effect when it is this call's turn. A dead actor's call never returns. */
	call<Result>(actor: Actor, effect: () => Result): Promise<Result> {
		return new Promise<Result>((resolve, reject) => {
			if (actor.isDead) return;
			const isSlow = this.#random.chance(this.#slowRate);
			const delay = this.#random.below(isSlow ? slowSteps : usualSteps);
			const go = () => {
				try {
					resolve(effect());
				} catch (error) {
					reject(error);
				}
			};
			this.#waiting.push({ actor, readyAt: this.steps + delay, go, effect });
		});
	}

	/** The actor dies: each of its calls under way may have been done or not. */
	crash(actor: Actor): void {
		actor.isDead = true;
		for (const call of this.#take((waiting) => waiting.actor === actor)) {
			if (this.#random.chance(0.5)) ignoringRefusal(call.effect);
		}
	}

	/** Lets calls through until `isDone`. @throws when nobody has a call to make and it is not done. */
	async runUntil(isDone: () => boolean, beforeCall: (actor: Actor) => void): Promise<void> {
		for (;;) {
			// Everything that follows from the last call has happened when the event loop turns.
			await new Promise((resolve) => setImmediate(resolve));
			if (isDone()) return;
			if (this.#waiting.length === 0) throw new Error("everybody waits for somebody else");
			const soonest = Math.min(...this.#waiting.map(({ readyAt }) => readyAt));
			this.steps = Math.max(this.steps + 1, soonest);
			for (const interval of this.#intervals.values()) {
				if (interval.dueAt > this.steps) continue;
				interval.dueAt = this.steps + interval.everySteps;
				interval.run();
			}
			const ready = this.#waiting.filter(({ readyAt }) => readyAt <= this.steps);
			const chosen = this.#random.pick(ready);
			beforeCall(chosen.actor);
			if (chosen.actor.isDead) continue;
			this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
			chosen.go();
		}
	}

	#take(which: (waiting: Waiting) => boolean): Waiting[] {
		const taken = this.#waiting.filter(which);
		for (const waiting of taken) this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
		return taken;
	}
}

function ignoringRefusal(effect: () => unknown): void {
	try {
		effect();
	} catch {
		// A refusal reaches nobody: who would hear it is dead.
	}
}
