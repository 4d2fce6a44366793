import type { HostMetrics } from "@sterna/shared/host";
import type { SensorRoot } from "../sensors/root.ts";
import {
	type CpuTimes,
	parseCpuTimes,
	parseDiskstats,
	parseLoadAverage1,
	parseMeminfo,
	parseNetDev,
	parsePressure,
	type Transfer,
} from "./proc.ts";

/** The kernel's counters at one moment. */
export interface HostCounters {
	at: number;
	cpu: CpuTimes | null;
	memory: { totalBytes: number; availableBytes: number } | null;
	loadAverage1: number | null;
	disks: Map<string, Transfer> | null;
	nics: Map<string, Transfer> | null;
	cpuPressure: number | null;
	memoryPressure: number | null;
	ioPressure: number | null;
}

/** A host that was given a part of a shared machine shows that part, not the machine. */
export interface MemoryShare {
	limitBytes: number;
	/** What its guests and its agent hold of it. */
	usedBytes: number;
}

/**
 * Reads the counters. Traffic counts on `uplinks`; without them on NICs that have hardware behind them, so that a
 * packet through bridge and tap counts once.
 */
export async function readHostCounters(
	root: SensorRoot,
	options: { at: number; uplinks: readonly string[] },
): Promise<HostCounters> {
	const files = [
		"stat",
		"meminfo",
		"loadavg",
		"diskstats",
		"net/dev",
		"pressure/cpu",
		"pressure/memory",
		"pressure/io",
	];
	const [stat, meminfo, loadavg, diskstats, netDev, cpu, memory, io] = await Promise.all(
		files.map((file) => root.readText(`/proc/${file}`)),
	);
	const nics = parseNetDev(netDev ?? null);
	for (const name of nics?.keys() ?? []) {
		const counts =
			options.uplinks.length > 0 ? options.uplinks.includes(name) : await root.exists(`/sys/class/net/${name}/device`);
		if (!counts) nics?.delete(name);
	}
	return {
		at: options.at,
		cpu: parseCpuTimes(stat ?? null),
		memory: parseMeminfo(meminfo ?? null),
		loadAverage1: parseLoadAverage1(loadavg ?? null),
		disks: parseDiskstats(diskstats ?? null),
		nics,
		cpuPressure: parsePressure(cpu ?? null),
		memoryPressure: parsePressure(memory ?? null),
		ioPressure: parsePressure(io ?? null),
	};
}

/** Rates between two moments. Null when time did not pass or what every host has cannot be read. */
export function hostMetrics(before: HostCounters, now: HostCounters, share?: MemoryShare): HostMetrics | null {
	const elapsedMs = now.at - before.at;
	if (elapsedMs <= 0 || !now.cpu || !before.cpu || !now.memory) return null;
	const perSecond = (of: "disks" | "nics", side: "inBytes" | "outBytes") =>
		(increase(before[of], now[of], side) * 1000) / elapsedMs;
	return {
		at: now.at,
		cpuUsed: cpuUsed(before.cpu, now.cpu),
		loadAverage1: now.loadAverage1 ?? 0,
		...memoryOf(now.memory, share),
		diskReadBytesPerSecond: perSecond("disks", "inBytes"),
		diskWriteBytesPerSecond: perSecond("disks", "outBytes"),
		networkReceiveBytesPerSecond: perSecond("nics", "inBytes"),
		networkTransmitBytesPerSecond: perSecond("nics", "outBytes"),
		cpuPressure: now.cpuPressure,
		memoryPressure: now.memoryPressure,
		ioPressure: now.ioPressure,
	};
}

function cpuUsed(before: CpuTimes, now: CpuTimes): number {
	const total = now.total - before.total;
	return total <= 0 ? 0 : Math.min(1, Math.max(0, (now.busy - before.busy) / total));
}

function memoryOf(memory: { totalBytes: number; availableBytes: number }, share: MemoryShare | undefined) {
	const { totalBytes, availableBytes } = memory;
	if (!share) return { memoryUsedBytes: totalBytes - availableBytes, memoryAvailableBytes: availableBytes };
	const memoryAvailableBytes = Math.min(availableBytes, Math.max(0, share.limitBytes - share.usedBytes));
	return { memoryUsedBytes: share.usedBytes, memoryAvailableBytes };
}

/** A device that is new, or whose counter was reset, adds nothing. */
function increase(
	before: Map<string, Transfer> | null,
	now: Map<string, Transfer> | null,
	side: "inBytes" | "outBytes",
): number {
	let sum = 0;
	for (const [name, transfer] of now ?? []) {
		const earlier = before?.get(name);
		if (earlier) sum += Math.max(0, transfer[side] - earlier[side]);
	}
	return sum;
}
