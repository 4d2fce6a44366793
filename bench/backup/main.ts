import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildGuestImage } from "../../demo/guest/build.ts";
import { ensureSystemPackages, hasProgram, isRoot, type SystemNeed } from "../../scripts/system/packages.ts";
import { ensureQemu } from "../../scripts/system/qemu.ts";
import { borg, restic } from "./archivers.ts";
import { compare, type Entry } from "./compare.ts";
import type { Contestant } from "./contestant.ts";
import { verdict } from "./goals.ts";
import { type Latency, measureLatency } from "./latency.ts";
import { sterna } from "./sterna.ts";
import { virtnbdbackup } from "./virtnbdbackup.ts";

/**
 * `./sterna bench backup`, in a process of its own: the same disk backed up, changed, backed up again and restored by Sterna,
 * restic, borg and virtnbdbackup, and how long a guest waits for its writes meanwhile.
 */
const { values } = parseArgs({
	options: {
		rounds: { type: "string", default: "3" },
		json: { type: "boolean", default: false },
		only: { type: "string" },
	},
});
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1 || rounds % 2 === 0) {
	console.error("bench: --rounds is an odd number, so that there is a middle one");
	process.exit(1);
}
const say = (line: string) => console.error(`bench: ${line}`);
const wanted = values.only?.split(",");

const program = (name: string, packageName: string): SystemNeed => ({
	package: packageName,
	why: "is compared with",
	present: () => hasProgram(name),
});
const images = resolve(import.meta.dirname, "../../.sterna/guest");
const folder = mkdtempSync(join(tmpdir(), "sterna-bench-"));
chmodSync(folder, 0o711);
const open: Contestant[] = [];
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
	process.once(signal, () => {
		void Promise.allSettled(open.map((contestant) => contestant.close())).then(() => {
			rmSync(folder, { recursive: true, force: true });
			process.exit(130);
		});
	});
}
try {
	const qemu = await ensureQemu(say);
	const image = await buildGuestImage(images, say);
	const base = join(folder, "base.raw");
	const with_ = async (needs: SystemNeed[]) => ensureSystemPackages(needs, say);
	const entries: Entry[] = [
		{ name: "sterna", open: () => sterna(image, base) },
		{
			name: "restic",
			open: async () => {
				await with_([program("restic", "restic")]);
				return restic();
			},
		},
		{
			name: "borg",
			open: async () => {
				await with_([program("borg", "borgbackup")]);
				return borg();
			},
		},
		{
			name: "virtnbdbackup",
			open: async () => {
				if (!isRoot()) throw new Error("it needs root for a libvirt of its own");
				await with_([
					program("virtnbdbackup", "virtnbdbackup"),
					program("libvirtd", "libvirt-daemon-system"),
					program("virsh", "libvirt-clients"),
				]);
				const own = join(folder, "libvirt");
				mkdirSync(own);
				return virtnbdbackup(image, own, qemu.img);
			},
		},
	];
	const isWanted = (name: string) => !wanted || wanted.includes(name);
	const comparison = await compare(
		entries.filter(({ name }) => isWanted(name)),
		{ base, folder, rounds, open, say },
	);
	const latency: Latency | { reason: string } = isWanted("latency")
		? await measureLatency({ images, base, rounds, say }).catch((error: Error) => ({
				reason: error.message.slice(0, 500),
			}))
		: { reason: "not asked for" };
	const { full, incremental, restore, ...rest } = comparison;
	const result = {
		full,
		incremental,
		restore,
		guestWriteLatency: latency,
		goals: verdict(comparison, latency),
		...rest,
	};
	console.log(values.json ? JSON.stringify(result) : JSON.stringify(result, null, 2));
} finally {
	rmSync(folder, { recursive: true, force: true });
}
