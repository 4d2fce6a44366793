import { HostMetrics } from "@sterna/shared/host";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Machine } from "../sensors/fixtures/machine.ts";
import { hostMetrics, readHostCounters } from "./host-metrics.ts";

const disks = (sda: number, sdb = 0) =>
	[
		`   8       0 sda 1 0 ${sda} 0 1 0 ${2 * sda} 0 0 0 0`,
		`   8       1 sda1 1 0 ${sda} 0 1 0 ${2 * sda} 0 0 0 0`,
		`   8      16 sdb 1 0 ${sdb} 0 1 0 0 0 0 0 0`,
		` 253       0 dm-0 1 0 ${sda} 0 1 0 ${sda} 0 0 0 0`,
	].join("\n");
const nics = (eth0: number, tap0: number) =>
	[
		"Inter-|",
		" face |",
		`  eth0: ${eth0} 1 0 0 0 0 0 0 ${2 * eth0} 1 0 0 0 0 0 0`,
		`  tap0: ${tap0} 1 0 0 0 0 0 0 ${tap0} 1 0 0 0 0 0 0`,
	].join("\n");

function server(): Machine {
	return new Machine({
		"/proc/stat": "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4\n",
		"/proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n",
		"/proc/loadavg": "1.25 0.50 0.25 2/345 6789\n",
		"/proc/diskstats": disks(1000),
		"/proc/net/dev": nics(1000, 5),
		"/sys/class/net/eth0/device/vendor": "0x8086",
		"/proc/pressure/cpu": "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n",
		"/proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
	});
}

const read = (machine: Machine, at: number, uplinks: string[] = []) => readHostCounters(machine, { at, uplinks });

describe("metrics of a host", () => {
	it("are rates between two looks, each byte counted once", async () => {
		const machine = server();
		const before = await read(machine, 1000);
		machine.set({
			"/proc/stat": "cpu  200 0 150 850 200 0 0 0 100 0\n",
			"/proc/diskstats": disks(1100),
			"/proc/net/dev": nics(6000, 90_000),
		});
		const metrics = hostMetrics(before, await read(machine, 6000));
		expect(HostMetrics.parse(metrics)).toEqual({
			at: 6000,
			cpuUsed: 150 / 400,
			loadAverage1: 1.25,
			memoryUsedBytes: 12 * 1024 ** 3,
			memoryAvailableBytes: 4 * 1024 ** 3,
			diskReadBytesPerSecond: (100 * 512) / 5,
			diskWriteBytesPerSecond: (200 * 512) / 5,
			networkReceiveBytesPerSecond: 1000,
			networkTransmitBytesPerSecond: 2000,
			cpuPressure: 0.125,
			memoryPressure: null,
			ioPressure: 0,
		});
	});

	it("count the traffic of the named uplinks where hardware says nothing", async () => {
		const machine = server();
		const before = await read(machine, 0, ["tap0"]);
		machine.set({ "/proc/net/dev": nics(9999, 1005) });
		expect(hostMetrics(before, await read(machine, 1000, ["tap0"]))?.networkReceiveBytesPerSecond).toBe(1000);
	});

	it("show the part of a shared machine that the host was given", async () => {
		const machine = server();
		const share = { limitBytes: 2 * 1024 ** 3, usedBytes: 1024 ** 3 };
		const metrics = hostMetrics(await read(machine, 0), await read(machine, 1000), share);
		expect(metrics).toMatchObject({ memoryUsedBytes: 1024 ** 3, memoryAvailableBytes: 1024 ** 3 });
	});

	it("are absent rather than wrong when the kernel's files are missing or time stood still", async () => {
		const before = await read(server(), 1000);
		expect(hostMetrics(before, await read(server(), 1000))).toBeNull();
		expect(hostMetrics(before, await read(server(), 500))).toBeNull();
		expect(hostMetrics(before, await read(new Machine(), 2000))).toBeNull();
	});

	it("never have a negative rate or a share above one, whatever is reset, added or taken out", async () => {
		const amounts = fc.record({
			cpu: fc.array(fc.nat(10_000), { minLength: 8, maxLength: 10 }),
			sda: fc.nat(),
			sdb: fc.option(fc.nat()),
			eth0: fc.nat(),
		});
		const look = (
			at: number,
			{ cpu, sda, sdb, eth0 }: { cpu: number[]; sda: number; sdb: number | null; eth0: number },
		) =>
			read(
				server().set({
					"/proc/stat": `cpu  ${cpu.join(" ")}\n`,
					"/proc/diskstats": sdb === null ? (disks(sda).split("\n")[0] ?? "") : disks(sda, sdb),
					"/proc/net/dev": nics(eth0, 0),
				}),
				at,
			);
		await fc.assert(
			fc.asyncProperty(amounts, amounts, async (first, second) => {
				expect(HostMetrics.safeParse(hostMetrics(await look(0, first), await look(5000, second))).success).toBe(true);
			}),
			{ numRuns: 200, seed: 5 },
		);
	});
});
