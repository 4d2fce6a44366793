import type { GuestStats } from "@sterna/hypervisor/hypervisor";
import type { GuestMetrics } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";

/** A guest's counters at one moment. */
export interface GuestSample {
	at: number;
	stats: GuestStats;
}

/**
 * Rates between two samples of one guest. Null when time did not pass, or when the counters began anew because the
 * guest's process is another one: what it did in between is not known.
 */
export function guestMetrics(
	guest: { guestId: GuestId; vcpus: number },
	before: GuestSample,
	now: GuestSample,
): GuestMetrics | null {
	const elapsedMs = now.at - before.at;
	const cpuTimeMs = now.stats.cpuTimeMs - before.stats.cpuTimeMs;
	if (elapsedMs <= 0 || cpuTimeMs < 0) return null;
	const perSecond = (counter: Exclude<keyof GuestStats, "cpuTimeMs" | "memoryResidentBytes">) =>
		(Math.max(0, now.stats[counter] - before.stats[counter]) * 1000) / elapsedMs;
	return {
		guestId: guest.guestId,
		at: now.at,
		cpuUsed: cpuTimeMs / (elapsedMs * guest.vcpus),
		memoryResidentBytes: Math.round(now.stats.memoryResidentBytes),
		diskReadBytesPerSecond: perSecond("diskReadBytes"),
		diskWriteBytesPerSecond: perSecond("diskWriteBytes"),
		networkReceiveBytesPerSecond: perSecond("networkReceiveBytes"),
		networkTransmitBytesPerSecond: perSecond("networkTransmitBytes"),
	};
}
