/** Parsers of `/proc` (proc(5)). Each gives null when the file is missing or says something else; none throws. */

export interface CpuTimes {
	/** Jiffies since boot, over all CPUs. */
	busy: number;
	total: number;
}

/** `/proc/stat`: time waiting for disks counts as idle; time stolen by a hypervisor above counts as busy. */
export function parseCpuTimes(text: string | null): CpuTimes | null {
	const line = /^cpu +(\d[\d ]*)$/m.exec(text ?? "")?.[1];
	const times = line?.trim().split(/ +/).map(Number) ?? [];
	if (times.length < 4 || !times.every(Number.isSafeInteger)) return null;
	// guest and guest_nice, the last two, are contained in user and nice.
	const total = times.slice(0, 8).reduce((sum, time) => sum + time, 0);
	return { busy: total - (times[3] ?? 0) - (times[4] ?? 0), total };
}

/** `/proc/meminfo`, in bytes. */
export function parseMeminfo(text: string | null): { totalBytes: number; availableBytes: number } | null {
	const field = (name: string) => new RegExp(`^${name}: +(\\d{1,15}) kB$`, "m").exec(text ?? "")?.[1];
	const total = field("MemTotal");
	const available = field("MemAvailable");
	if (total === undefined || available === undefined) return null;
	const totalBytes = Number(total) * 1024;
	return { totalBytes, availableBytes: Math.min(Number(available) * 1024, totalBytes) };
}

export function parseLoadAverage1(text: string | null): number | null {
	const match = /^(\d{1,9}\.\d{1,4}) /.exec(text ?? "");
	return match ? Number(match[1]) : null;
}

export interface Transfer {
	inBytes: number;
	outBytes: number;
}

const wholeDisk = /^(?:sd[a-z]+|hd[a-z]|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;
const sectorBytes = 512;

/** `/proc/diskstats` (kernel Documentation/admin-guide/iostats.rst): whole disks only, so that nothing counts twice. */
export function parseDiskstats(text: string | null): Map<string, Transfer> | null {
	if (text === null) return null;
	const disks = new Map<string, Transfer>();
	for (const line of text.split("\n")) {
		const [, , name, , , read, , , , written] = line.trim().split(/\s+/);
		if (!name || !wholeDisk.test(name)) continue;
		const transfer = transferOf(read, written, sectorBytes);
		if (transfer) disks.set(name, transfer);
	}
	return disks;
}

/** `/proc/net/dev`, by interface. */
export function parseNetDev(text: string | null): Map<string, Transfer> | null {
	if (text === null) return null;
	const nics = new Map<string, Transfer>();
	for (const line of text.split("\n")) {
		const [, name, rest] = /^ *([^\s:]{1,15}): *([\d ]+)$/.exec(line) ?? [];
		if (!name || rest === undefined) continue;
		const fields = rest.trim().split(/ +/);
		const transfer = transferOf(fields[0], fields[8], 1);
		if (transfer) nics.set(name, transfer);
	}
	return nics;
}

function transferOf(into: string | undefined, out: string | undefined, unitBytes: number): Transfer | null {
	if (!/^\d{1,19}$/.test(into ?? "") || !/^\d{1,19}$/.test(out ?? "")) return null;
	return { inBytes: Number(into) * unitBytes, outBytes: Number(out) * unitBytes };
}

/** `/proc/pressure/*` (kernel Documentation/accounting/psi.rst): share of the last 10 s in which some task stalled. */
export function parsePressure(text: string | null): number | null {
	const percent = /^some avg10=(\d{1,3}\.\d{1,4}) /m.exec(text ?? "")?.[1];
	return percent === undefined ? null : Math.min(1, Number(percent) / 100);
}
