import { asSternaError, SternaError } from "@sterna/shared/errors";
import { formatDuration } from "@sterna/shared/units";
import type { RunClock } from "./run-ports.ts";

/** Lets `delayMs` pass; ends early, without an error, when `signal` aborts. */
export function pause(clock: RunClock, delayMs: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const end = () => {
			stop();
			signal.removeEventListener("abort", end);
			resolve();
		};
		const stop = clock.after(delayMs, end);
		signal.addEventListener("abort", end, { once: true });
		if (signal.aborted) end();
	});
}

/** Why a signal was aborted, as one of our errors. */
export function abortError(signal: AbortSignal): SternaError {
	const reason: unknown = signal.reason;
	return reason instanceof SternaError ? reason : new SternaError("cancelled", "the task was cancelled");
}

export interface Patience {
	clock: RunClock;
	/** How long it is tried before the last failure counts. */
	forMs: number;
	signal: AbortSignal;
	/** Told at the first failure and with every further one; null when it works again. */
	onWaiting(reason: string | null): void;
}

const firstDelayMs = 500;
const longestDelayMs = 15_000;

/**
 * Does something that may be away for a while: tries again, ever more rarely, while it is `unavailable`.
 * @throws {SternaError} any other failure at once; the last one when patience is over; why `signal` was aborted.
 */
export async function patiently<Result>(
	patience: Patience,
	what: string,
	task: () => Promise<Result>,
): Promise<Result> {
	const { clock, forMs, signal, onWaiting } = patience;
	let waitedMs = 0;
	let delayMs = firstDelayMs;
	for (;;) {
		if (signal.aborted) throw abortError(signal);
		try {
			const result = await task();
			if (waitedMs > 0) onWaiting(null);
			return result;
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (error.code !== "unavailable") throw error;
			// Only the waiting is counted: the clock may jump.
			if (waitedMs >= forMs) {
				throw new SternaError("unavailable", `${what} was away for ${formatDuration(waitedMs)}: ${error.message}`, {
					cure: error.cure ?? "bring it back and run again; nothing is lost",
					cause: error,
				});
			}
			onWaiting(`${what} does not answer: ${error.message}`.slice(0, 300));
			await pause(clock, delayMs, signal);
			waitedMs += delayMs;
			delayMs = Math.min(2 * delayMs, longestDelayMs);
		}
	}
}
