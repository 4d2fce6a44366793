import { beginPace, lookAtGuest, type Pace, slowedBy, takeTurn, type WriteLatency } from "@sterna/backup/pace";
import type { RunClock } from "@sterna/backup/run-ports";
import { abortError, pause } from "@sterna/backup/run-waiting";
import type { GuestStats } from "@sterna/hypervisor/hypervisor";

/** How often it is looked how long the guest waits for its writes. */
const lookMs = 500;

/** Lets a run read no faster than its limit and the guest's disk allow. */
export class Pacer {
	readonly #clock: RunClock;
	readonly #signal: AbortSignal;
	readonly #stats: () => Promise<GuestStats | null>;
	#pace: Pace;
	#seen: GuestStats | null;
	#ended = false;
	#stopLooking: () => void = () => {};

	/** `before` and `now`: what the guest had written some time before the run, and as it begins. */
	constructor(options: {
		limitBytesPerSecond: number | null;
		clock: RunClock;
		signal: AbortSignal;
		/** Null while the guest has no process. */
		stats: () => Promise<GuestStats | null>;
		before: GuestStats | null;
		now: GuestStats | null;
	}) {
		const { limitBytesPerSecond, clock, before, now } = options;
		this.#clock = clock;
		this.#signal = options.signal;
		this.#stats = options.stats;
		this.#seen = now;
		this.#pace = beginPace({ limitBytesPerSecond, nowMs: clock.now(), before: between(before, now) });
		this.#lookLater();
	}

	get slowedBy(): string | null {
		return slowedBy(this.#pace);
	}

	/** Fulfilled when so many bytes may be read. @throws why the run was cancelled. */
	async turn(bytes: number): Promise<void> {
		const { next, waitMs } = takeTurn(this.#pace, bytes, this.#clock.now());
		this.#pace = next;
		if (waitMs > 0) await pause(this.#clock, waitMs, this.#signal);
		if (this.#signal.aborted) throw abortError(this.#signal);
	}

	end(): void {
		this.#ended = true;
		this.#stopLooking();
	}

	#lookLater(): void {
		if (this.#ended) return;
		this.#stopLooking = this.#clock.after(lookMs, () => void this.#look().finally(() => this.#lookLater()));
	}

	/** A guest that does not answer now is looked at the next time. */
	async #look(): Promise<void> {
		const stats = await this.#stats().catch(() => null);
		if (!stats) return;
		this.#pace = lookAtGuest(this.#pace, between(this.#seen, stats), this.#clock.now());
		this.#seen = stats;
	}
}

/** Another process counts anew: then nothing is known. */
function between(before: GuestStats | null, now: GuestStats | null): WriteLatency {
	if (!before || !now || now.diskWrites < before.diskWrites) return { writes: 0, timeMs: 0 };
	return { writes: now.diskWrites - before.diskWrites, timeMs: now.diskWriteTimeMs - before.diskWriteTimeMs };
}
