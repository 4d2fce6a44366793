import type { SimulatedGuest } from "./record.ts";

/** What the guest has counted by `nowMs`: one per tick while it runs. */
export function countAt(guest: SimulatedGuest, nowMs: number, tickMs: number): number {
	if (guest.state !== "running") return guest.count;
	return guest.count + Math.max(0, Math.floor((nowMs - guest.countedAt) / tickMs));
}

/** The guest with its count brought up to date; no part of a tick is lost. */
export function countedUp(guest: SimulatedGuest, nowMs: number, tickMs: number): SimulatedGuest {
	const count = countAt(guest, nowMs, tickMs);
	return { ...guest, count, countedAt: guest.countedAt + (count - guest.count) * tickMs };
}

/** The lines that the guest printed between two counts: eight hexadecimal digits each. */
export function serialLines(after: number, upTo: number): string {
	// A guest that ran for days without a driver: what would be cut from the log anyway is not written.
	const first = Math.max(after + 1, upTo - 100_000);
	const lines: string[] = [];
	for (let count = first; count <= upTo; count++) lines.push(`${count.toString(16).padStart(8, "0")}\n`);
	return lines.join("");
}

/** How a virtual copy goes on in one step of `stepMs`. */
export interface CopyModel {
	remainingBytes: number;
	transferredBytes: number;
	passes: number;
}

export function copyStep(
	copy: CopyModel,
	rates: { stepMs: number; linkBytesPerSecond: number; dirtyBytesPerSecond: number },
): CopyModel {
	const sent = Math.min(copy.remainingBytes, Math.ceil((rates.linkBytesPerSecond * rates.stepMs) / 1000));
	const dirtied = Math.floor((rates.dirtyBytesPerSecond * rates.stepMs) / 1000);
	return {
		remainingBytes: copy.remainingBytes - sent + dirtied,
		transferredBytes: copy.transferredBytes + sent,
		passes: copy.passes + 1,
	};
}
