import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The hardware that a demo server's sensors see: this machine's own `/proc` and `/sys` by reference, with two DIMMs and a
 * disk beside them that can be broken. Everything else of the demo is real; this is what `config.sysroot` is for.
 */
export interface Hardware {
	sysroot: string;
	/** A burst of memory errors that the server survives: 2 uncorrected ones on DIMM_B1, after 61 corrected ones. */
	breakMemory(): void;
	/** The disk that carries the guests says that it fails its own test. */
	breakDisk(): void;
	/** New parts: counters at zero, disk passed. */
	heal(): void;
}

const controller = "sys/devices/system/edac/mc/mc0";

export function makeHardware(sysroot: string): Hardware {
	rmSync(sysroot, { recursive: true, force: true });
	mkdirSync(sysroot, { recursive: true });
	const write = (path: string, content: string) => {
		mkdirSync(dirname(join(sysroot, path)), { recursive: true });
		writeFileSync(join(sysroot, path), content);
	};
	const borrow = (path: string) => {
		mkdirSync(dirname(join(sysroot, path)), { recursive: true });
		symlinkSync(`/${path}`, join(sysroot, path));
	};
	for (const path of ["proc", "etc", "sys/class/net", "sys/class/hwmon", "sys/class/thermal", "sys/fs"]) borrow(path);
	for (const part of readdirSync("/sys/devices/system")) if (part !== "edac") borrow(`sys/devices/system/${part}`);

	const memory = (corrected: number, uncorrected: number) => {
		write(`${controller}/mc_name`, "Demo memory controller\n");
		write(`${controller}/seconds_since_reset`, "86400\n");
		write(`${controller}/ce_count`, `${corrected}\n`);
		write(`${controller}/ue_count`, `${uncorrected}\n`);
		for (const [at, label] of ["DIMM_A1", "DIMM_B1"].entries()) {
			const broken = label === "DIMM_B1";
			const dimm = `${controller}/dimm${at}`;
			write(`${dimm}/dimm_label`, `${label}\n`);
			write(`${dimm}/dimm_location`, `channel ${at} slot 0\n`);
			write(`${dimm}/size`, "16384\n");
			write(`${dimm}/dimm_mem_type`, "Registered-DDR4\n");
			write(`${dimm}/dimm_ce_count`, `${broken ? corrected : 0}\n`);
			write(`${dimm}/dimm_ue_count`, `${broken ? uncorrected : 0}\n`);
		}
	};
	const disk = (passed: boolean) => write("run/tools/smartctl/sda", JSON.stringify(smart(passed)));
	write("sys/block/sda/dev", `${deviceOf(sysroot)}\n`);
	write("dev/kmsg", "");
	memory(0, 0);
	disk(true);
	return {
		sysroot,
		breakMemory: () => memory(61, 2),
		breakDisk: () => disk(false),
		heal: () => {
			memory(0, 0);
			disk(true);
		},
	};
}

/** The device that carries a folder, as `8:1`: the demo's disk takes its place (makedev(3) of glibc). */
function deviceOf(folder: string): string {
	const { dev } = statSync(folder);
	return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
}

/** What smartctl prints of a SATA disk, in the fields that the disk sensor reads. */
function smart(passed: boolean) {
	const attribute = (id: number, name: string, raw: number) => ({
		id,
		name,
		value: raw > 0 ? 1 : 100,
		worst: raw > 0 ? 1 : 100,
		thresh: 10,
		when_failed: raw > 0 ? "now" : "",
		raw: { value: raw, string: String(raw) },
	});
	return {
		device: { name: "/dev/sda", type: "sat", protocol: "ATA" },
		model_name: "Demo disk 4 TB",
		serial_number: "DEMO0001",
		smart_status: { passed },
		ata_smart_attributes: {
			table: [
				attribute(5, "Reallocated_Sector_Ct", passed ? 0 : 1984),
				attribute(187, "Reported_Uncorrect", passed ? 0 : 12),
				attribute(197, "Current_Pending_Sector", passed ? 0 : 88),
				attribute(198, "Offline_Uncorrectable", passed ? 0 : 40),
			],
		},
		temperature: { current: 34 },
		power_on_time: { hours: 21_530 },
	};
}
