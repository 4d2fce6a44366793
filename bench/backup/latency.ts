import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { SavingHost, until } from "@sterna/agent/backups/testing/saving-host";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { buildDebianImage, debianCommandLine } from "../../demo/guest/debian.ts";
import { run } from "../../scripts/system/run.ts";
import { median } from "../statistics.ts";
import { dataBytes, diskBytes } from "./disk.ts";
import { round } from "./measure.ts";
import { backUp } from "./sterna.ts";

/** How long the guest waits for a write of 4 KiB, as fio in the guest sees it: the 99th of 100, milliseconds. */
export interface Latency {
	p99WithoutMs: number;
	p99DuringMs: number;
	about: string;
}

const writesPerSecond = 100;
const quietSeconds = 10;
const bootMs = 240_000;

/** A Debian guest with a second disk, the one that is compared, in which fio writes where there is data. */
export async function measureLatency(options: {
	images: string;
	base: string;
	rounds: number;
	say: (line: string) => void;
}): Promise<Latency> {
	const debian = await buildDebianImage(options.images, options.say);
	const host = await SavingHost.open(["backups"]);
	try {
		const folder = join(host.dataDir, "images");
		await copyFile(debian.kernel, join(folder, "debian.vmlinuz"));
		await copyFile(debian.initrd, join(folder, "debian.initrd"));
		for (const [from, name] of [
			[debian.disk, "debian.raw"],
			[options.base, "bench.raw"],
		] as const) {
			await run("cp", ["--sparse=always", "--reflink=auto", from, join(folder, name)]);
		}
		const access = await host.newRepository("backups");
		const guest = await DebianGuest.boot(host);
		// The first one also shows how long a run is: fio writes that long beside the next ones.
		const [without, during]: [number[], number[]] = [[], []];
		const first = await backUp(host, access, guest.spec, { readWhole: true });
		const seconds = Math.max(3, Math.round(((first.endedAt ?? 0) - first.startedAt) / 1000));
		for (let turn = 1; turn <= options.rounds; turn++) {
			without.push(await guest.writeFor(quietSeconds));
			const writing = guest.writeFor(seconds);
			const report = await backUp(host, access, guest.spec, { readWhole: true });
			during.push(await writing);
			if (report.state !== "completed") throw new Error(`the backup ended ${report.state}: ${report.error?.message}`);
			options.say(`latency, round ${turn}: p99 ${without.at(-1)} ms without, ${during.at(-1)} ms during a backup`);
		}
		return {
			p99WithoutMs: round(median(without)),
			p99DuringMs: round(median(during)),
			about: `fio in a Debian guest, ${writesPerSecond} random writes of 4 KiB a second into the data, O_DIRECT, beside runs of ${seconds} s that read everything`,
		};
	} finally {
		await host.close();
	}
}

class DebianGuest {
	readonly spec: GuestSpec;
	readonly #host: SavingHost;
	#number = 0;

	private constructor(host: SavingHost, spec: GuestSpec) {
		this.#host = host;
		this.spec = spec;
	}

	static async boot(host: SavingHost): Promise<DebianGuest> {
		const volume = (fromImage: string, sizeBytes: number) => ({
			id: newId(VolumeId),
			pool: "local",
			sizeBytes,
			fromImage,
		});
		const spec = GuestSpec.parse({
			id: newId(GuestId),
			name: "debian",
			vcpus: 1,
			memoryBytes: 512 * MiB,
			boot: { from: "kernel", kernel: "debian.vmlinuz", initrd: "debian.initrd", commandLine: debianCommandLine },
			volumes: [volume("debian.raw", 1024 * MiB), volume("bench.raw", diskBytes)],
			nics: [],
		});
		await host.call("guest.create", { spec, epoch: 1 });
		await host.call("guest.start", { guestId: spec.id, epoch: 1 });
		const guest = new DebianGuest(host, spec);
		await guest.#heard(/root@debian:~# /, bootMs);
		return guest;
	}

	/** Writes for so long. @returns the 99th percentile of the time that a write took, in milliseconds. */
	async writeFor(seconds: number): Promise<number> {
		const mark = `p99-${++this.#number}`;
		const fio = [
			"fio --name=w --filename=/dev/vdb --rw=randwrite --bs=4k --direct=1 --ioengine=psync --time_based",
			`--size=${dataBytes} --rate_iops=${writesPerSecond} --runtime=${seconds} --output-format=json --output=/run/fio`,
		].join(" ");
		// What is typed is shown too: the mark only comes together in what is printed.
		const print = `echo "${mark.replace("-", '"-"')}=$(grep -o '"99.000000" : [0-9]*' /run/fio | tail -n 1 | tr -dc '0-9 ' | cut -d' ' -f2-) ns"`;
		const data = Buffer.from(`${fio} >/dev/null 2>&1; ${print}\n`).toString("base64");
		await this.#host.call("guest.serialInput", { guestId: this.spec.id, data });
		const [, nanoseconds] = await this.#heard(new RegExp(`${mark}= *(\\d+) ns`), (seconds + 60) * 1000);
		return Number(nanoseconds) / 1e6;
	}

	#heard(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
		const log = join(this.#host.dataDir, "run", this.spec.id, "serial.log");
		const look = async () => pattern.exec(await readFile(log, "utf8").catch(() => ""));
		return until(`${pattern} on the serial line`, look, timeoutMs);
	}
}
