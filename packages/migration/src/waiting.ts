import { asSternaError, SternaError } from "@sterna/shared/errors";
import { formatDuration } from "@sterna/shared/units";
import type { Clock } from "./ports.ts";

/**
 * Waits for `work`, at most `timeoutMs`, or until `signal` aborts. The work's own signal is aborted then, and its late
 * outcome is ignored: the undo that follows must be right whatever the work still does.
 * @throws {SternaError} `timeout` naming what was waited for, `cancelled`, or what the work threw.
 */
export function within<T>(
	clock: Clock,
	timeoutMs: number,
	what: string,
	signal: AbortSignal | null,
	work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
	const late = () => new SternaError("timeout", `waited ${formatDuration(timeoutMs)} for ${what}`);
	return guarded(signal, work, (fail) => clock.after(timeoutMs, () => fail(late())));
}

/**
 * Waits for `work` as long as it goes on: every call of `saw` with another figure than before gives it `stallMs` more.
 * @throws {SternaError} `timeout` when the figure stands still, `cancelled`, or what the work threw.
 */
export function whileMoving<T>(
	clock: Clock,
	stallMs: number,
	what: string,
	signal: AbortSignal | null,
	work: (signal: AbortSignal, saw: (figure: number) => void) => Promise<T>,
): Promise<T> {
	const stalled = () =>
		new SternaError("timeout", `no ${what} for ${formatDuration(stallMs)}`, {
			cure: "look at the network between the two hosts, then try again",
		});
	let last: number | null = null;
	let saw: (figure: number) => void = () => {};
	return guarded(
		signal,
		(inner) => work(inner, (figure) => saw(figure)),
		(fail) => {
			let stop = clock.after(stallMs, () => fail(stalled()));
			saw = (figure) => {
				if (figure === last) return;
				last = figure;
				stop();
				stop = clock.after(stallMs, () => fail(stalled()));
			};
			return () => stop();
		},
	);
}

/** Lets `delayMs` pass; ends early, without an error, when `signal` aborts. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
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

function guarded<T>(
	signal: AbortSignal | null,
	work: (signal: AbortSignal) => Promise<T>,
	arm: (fail: (error: SternaError) => void) => () => void,
): Promise<T> {
	const inner = new AbortController();
	return new Promise((resolve, reject) => {
		let over = false;
		const end = () => {
			over = true;
			disarm();
			signal?.removeEventListener("abort", onAbort);
		};
		const fail = (error: SternaError) => {
			if (over) return;
			end();
			inner.abort(error);
			reject(error);
		};
		const onAbort = () => fail(abortError(signal));
		const disarm = arm(fail);
		if (signal?.aborted) return onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
		work(inner.signal).then(
			(value) => {
				if (over) return;
				end();
				resolve(value);
			},
			(thrown: unknown) => fail(asSternaError(thrown)),
		);
	});
}

/** Why a signal was aborted, as one of our errors. */
export function abortError(signal: AbortSignal | null): SternaError {
	const reason: unknown = signal?.reason;
	return reason instanceof SternaError ? reason : new SternaError("cancelled", "the migration was cancelled");
}
