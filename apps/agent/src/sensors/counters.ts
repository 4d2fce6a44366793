import { z } from "zod";

/** Something to remember: a counter of the kernel or a device, or events that were seen one by one. */
export type Change =
	| { counter: string; total: number; sinceResetMs?: number | undefined }
	| { counter: string; events: number; at: number; note?: string };

/** How much counters rose lately. */
export interface Increases {
	/** How much the counter rose in the last `windowMs`, up to a day; never negative. */
	within(counter: string, windowMs: number): number;
	/** Counters with the given beginning that rose within a day. */
	names(prefix: string): string[];
	/** What stood with the counter's latest event. */
	note(counter: string): string;
}

/** `gapMs`: the increase came at an unknown point of this time before `at`. */
type Increase = [at: number, amount: number, gapMs: number];

interface Counter {
	total: number | null;
	at: number;
	bootId: string;
	note: string;
	increases: Increase[];
}

const finiteAmount = z.number().min(0);
export const CounterState = z.array(
	z.strictObject({
		name: z.string().max(400),
		total: finiteAmount.nullable(),
		at: finiteAmount,
		bootId: z.string().max(100),
		note: z.string().max(1000),
		increases: z.array(z.tuple([finiteAmount, finiteAmount, finiteAmount])).max(2000),
	}),
);
export type CounterState = z.infer<typeof CounterState>;

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const fineMs = 10_000;
const coarseMs = 600_000;
const maxCounters = 8192;
const compactAbove = 700;

/**
 * Remembers a day of increases of counters that only rise until they are reset. Counters count since their driver was
 * loaded, so a total alone does not tell a burst from a trickle, and a lower value or another boot means a reset, never
 * a negative increase. Bounded: the last hour at 10 s, the rest of the day at 10 min.
 */
export class CounterHistory {
	readonly #counters = new Map<string, Counter>();

	constructor(state: CounterState = []) {
		for (const { name, ...counter } of state) this.#counters.set(name, counter);
	}

	record(changes: readonly Change[], at: number, bootId: string): void {
		for (const change of changes) {
			const counter = this.#counter(change.counter, bootId);
			if (!counter) continue;
			if ("events" in change) {
				add(counter, [change.at, change.events, 0]);
				if (change.note !== undefined) counter.note = change.note;
			} else {
				const increase = increaseOf(counter, change, at, bootId);
				if (increase) add(counter, increase);
				counter.total = change.total;
				counter.bootId = bootId;
			}
			counter.at = at;
		}
	}

	/** The increases as seen from `now`. */
	at(now: number): Increases {
		const live = ([at]: Increase) => at > now - dayMs && at <= now + fineMs;
		return {
			within: (name, windowMs) => {
				let sum = 0;
				for (const [at, amount, gapMs] of this.#counters.get(name)?.increases ?? []) {
					if (at <= now - windowMs || at > now + fineMs) continue;
					// Seen over a gap longer than the window (first look, the agent was away): its even share, which at least one
					// window of the gap has reached.
					sum += gapMs > windowMs ? (amount * windowMs) / gapMs : amount;
				}
				return sum;
			},
			names: (prefix) =>
				[...this.#counters].flatMap(([name, { increases }]) =>
					name.startsWith(prefix) && increases.some(live) ? [name] : [],
				),
			note: (name) => this.#counters.get(name)?.note ?? "",
		};
	}

	/** Drops what is older than a day. What is not seen for two days is forgotten. */
	prune(now: number): void {
		for (const [name, counter] of this.#counters) {
			if (Math.abs(now - counter.at) > 2 * dayMs) this.#counters.delete(name);
			else counter.increases = compact(counter.increases, now);
		}
	}

	toJSON(): CounterState {
		return [...this.#counters].map(([name, counter]) => ({ name, ...counter }));
	}

	#counter(name: string, bootId: string): Counter | null {
		let counter = this.#counters.get(name);
		if (!counter) {
			if (this.#counters.size >= maxCounters) return null;
			counter = { total: null, at: 0, bootId, note: "", increases: [] };
			this.#counters.set(name, counter);
		}
		return counter;
	}
}

function increaseOf(
	counter: Counter,
	change: { total: number; sinceResetMs?: number | undefined },
	at: number,
	bootId: string,
): Increase | null {
	const { total, sinceResetMs } = change;
	const sameBoot = counter.total !== null && counter.bootId === bootId;
	const gapMs = Math.max(0, at - counter.at);
	if (sameBoot && counter.total !== null) {
		// Below the last value: the driver was loaded anew, and everything since then is new.
		const amount = total >= counter.total ? total - counter.total : total;
		return amount > 0 ? [at, amount, gapMs] : null;
	}
	// First look, or another boot: it rose at some time since the reset, when that time is known.
	return total > 0 && sinceResetMs !== undefined && sinceResetMs > 0 ? [at, total, sinceResetMs] : null;
}

function add(counter: Counter, increase: Increase): void {
	const last = counter.increases.at(-1);
	const [at, amount, gapMs] = increase;
	if (last && together(last, increase, fineMs)) {
		counter.increases[counter.increases.length - 1] = [
			Math.max(last[0], at),
			last[1] + amount,
			Math.max(last[2], gapMs),
		];
		return;
	}
	counter.increases.push(increase);
	if (counter.increases.length > compactAbove) counter.increases = compact(counter.increases, at);
}

function compact(increases: readonly Increase[], now: number): Increase[] {
	const kept: Increase[] = [];
	for (const [at, amount, gapMs] of increases) {
		if (at <= now - dayMs || at > now + fineMs) continue;
		const last = kept.at(-1);
		const stepMs = at < now - hourMs ? coarseMs : fineMs;
		if (last && together(last, [at, amount, gapMs], stepMs)) {
			kept[kept.length - 1] = [Math.max(last[0], at), last[1] + amount, Math.max(last[2], gapMs)];
		} else kept.push([at, amount, gapMs]);
	}
	return kept.slice(-compactAbove);
}

/** What is known to the second must not be merged with what came at some time of a long gap. */
function together([at, , gapMs]: Increase, [otherAt, , otherGapMs]: Increase, stepMs: number): boolean {
	return Math.max(gapMs, otherGapMs) <= stepMs && Math.floor(at / stepMs) === Math.floor(otherAt / stepMs);
}
