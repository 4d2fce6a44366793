import type { Writable } from "node:stream";
import { SternaError } from "@sterna/shared/errors";

/** A browser takes a piece in less, on any line that a file can be had over; one that stopped reading holds our disk. */
const patienceMs = 60_000;

/**
 * Fulfilled when the reader behind `out` has taken what was written; leaves nothing behind on `out`, whatever comes.
 * @param failed The sender's failure: with its reason it ends the waiting.
 * @throws {SternaError} `cancelled` when the reader has gone, `timeout` when it does not read; the reason of `failed`.
 */
export async function drained(out: Writable, failed: AbortSignal, waitMs = patienceMs): Promise<void> {
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const onClose = () => reject(new SternaError("cancelled", "the browser has gone"));
	const onFailed = () => reject(failed.reason);
	const onLate = () =>
		reject(
			new SternaError("timeout", `the browser has read nothing for ${waitMs / 1000} s`, {
				cure: "ask for the file again and keep the computer awake until it is there",
			}),
		);
	const timer = setTimeout(onLate, waitMs);
	out.once("drain", resolve);
	out.once("close", onClose);
	failed.addEventListener("abort", onFailed);
	if (out.destroyed) onClose();
	if (failed.aborted) onFailed();
	try {
		await promise;
	} finally {
		clearTimeout(timer);
		out.off("drain", resolve);
		out.off("close", onClose);
		failed.removeEventListener("abort", onFailed);
	}
}
