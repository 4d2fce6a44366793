import { SternaError } from "@sterna/shared/errors";
import type { GuestStats } from "../hypervisor.ts";
import { label, type QemuGuest } from "./guest.ts";
import { readUsage } from "./process.ts";
import { readTapCounters } from "./tap.ts";

const nanosecondsPerMs = 1e6;

/** Counters since the process started. QEMU's own NAT counts nothing: such NICs add zero. */
export async function readStats(guest: QemuGuest): Promise<GuestStats> {
	const usage = await readUsage(guest.process);
	if (usage === null) throw new SternaError("unavailable", `the process of ${label(guest)} is gone`);
	// Counted where the guest's device is: a copy that a migration reads is not the guest's doing.
	const disks = (await guest.monitor.execute("query-blockstats", {})).filter((disk) => disk.qdev !== undefined);
	const taps = await Promise.all(guest.record.taps.flatMap((tap) => (tap === null ? [] : readTapCounters(tap))));
	const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
	return {
		cpuTimeMs: usage.cpuTimeMs,
		memoryResidentBytes: usage.residentBytes,
		diskReadBytes: sum(disks.map((disk) => disk.stats.rd_bytes)),
		diskWriteBytes: sum(disks.map((disk) => disk.stats.wr_bytes)),
		diskWrites: sum(disks.map((disk) => disk.stats.wr_operations)),
		diskWriteTimeMs: sum(disks.map((disk) => disk.stats.wr_total_time_ns)) / nanosecondsPerMs,
		networkReceiveBytes: sum(taps.map((tap) => tap.receiveBytes)),
		networkTransmitBytes: sum(taps.map((tap) => tap.transmitBytes)),
	};
}
