import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { readJsonFile, SimulatedGuest } from "@sterna/hypervisor/simulated/record";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { buildGuestImage } from "../../../../../demo/guest/build.ts";
import { guestCommandLine } from "../../../../../demo/guest/command-line.ts";
import { ensureQemu, probeMemory } from "../../../../../scripts/system/qemu.ts";
import type { AgentConfigInput } from "../../config.ts";
import { killIfThere } from "../../fixtures/kill-if-there.ts";

/** One sign of life on a guest's serial line. */
export interface Beat {
	/** Rises by one or more with every beat of one boot. */
	seq: number;
	/** Another value after another boot. */
	boot: string;
	/** What the guest found wrong with its memory and disk. */
	errors: number;
}

/** How a guest of one driver is made and watched. */
export interface GuestKind {
	spec(pool: string): GuestSpec;
	/** Puts what guests boot from into a host's image folder; what its agent must know of the driver. */
	equip(dataDir: string): Promise<AgentConfigInput>;
	beats(serialLog: string): Beat[];
	/** Whether a beat on both hosts means that two guests ran. A simulated guest repeats on its new host what it missed. */
	beatsAreSaidOnce: boolean;
	/** Guests that have a process on the host, whatever its state. */
	countProcesses(dataDir: string): Promise<number>;
	/** Kills the guests' processes from outside. */
	endProcesses(dataDir: string): Promise<void>;
}

function specOf(boot: GuestSpec["boot"], pool: string): GuestSpec {
	return GuestSpec.parse({
		id: newId(GuestId),
		name: "mover",
		vcpus: 1,
		memoryBytes: 96 * MiB,
		boot,
		volumes: [{ id: newId(VolumeId), pool, sizeBytes: 24 * MiB }],
		nics: [],
	});
}

/** Guests that count by the clock; a guest that starts anew counts from nothing. */
export const simulatedKind: GuestKind = {
	spec: (pool) => specOf({ from: "disk" }, pool),
	equip: async () => ({ driver: "simulated" }),
	beatsAreSaidOnce: false,
	beats: (log) =>
		[...log.matchAll(/^([0-9a-f]{8})$/gm)].map(([, count]) => ({
			seq: Number.parseInt(count ?? "", 16),
			boot: "only",
			errors: 0,
		})),
	async countProcesses(dataDir) {
		const folder = join(dataDir, "run");
		const guests = await Promise.all(
			(await readdir(folder)).map((name) => readJsonFile(join(folder, name, "guest.json"), SimulatedGuest)),
		);
		return guests.filter((guest) => guest && guest.state !== "ended").length;
	},
	endProcesses: async () => {},
};

/** The demo's Linux under QEMU. */
export const qemuKind: GuestKind = {
	spec: (pool) => {
		const commandLine = guestCommandLine({ name: "mover" });
		return specOf({ from: "kernel", kernel: "vmlinuz", initrd: "initrd", commandLine }, pool);
	},
	async equip(dataDir) {
		const qemu = await ensureQemu(() => {});
		const image = await buildGuestImage(join(import.meta.dirname, "../../../../../.sterna/guest"), () => {});
		const folder = join(dataDir, "images");
		await mkdir(folder, { recursive: true, mode: 0o711 });
		await copyFile(image.kernel, join(folder, "vmlinuz"));
		await copyFile(image.initrd, join(folder, "initrd"));
		return { qemuSystem: qemu.system, qemuImg: qemu.img, probeMemory };
	},
	beatsAreSaidOnce: true,
	beats: (log) =>
		[...log.matchAll(/heartbeat seq=(\d+) boot=(\w+) .*errors=(\d+)/g)].map(([, seq, boot, errors]) => ({
			seq: Number(seq),
			boot: boot ?? "",
			errors: Number(errors),
		})),
	countProcesses: async (dataDir) => (await qemuProcesses(dataDir)).length,
	async endProcesses(dataDir) {
		for (const pid of await qemuProcesses(dataDir)) killIfThere(pid);
	},
};

async function qemuProcesses(dataDir: string): Promise<number[]> {
	const found: number[] = [];
	for (const name of await readdir("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		const words = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
		const isOurs = words.some((word) => word.includes(`${dataDir}/run/`));
		if (isOurs && words.some((word) => word.includes("qemu-system"))) found.push(Number(name));
	}
	return found;
}
