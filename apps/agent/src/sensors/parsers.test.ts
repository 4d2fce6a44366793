import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCpuModel, parseOsRelease } from "../host-facts.ts";
import {
	parseCpuTimes,
	parseDiskstats,
	parseLoadAverage1,
	parseMeminfo,
	parseNetDev,
	parsePressure,
} from "../metrics/proc.ts";
import { kernelChanges, parseRecord, parseUptime } from "./kernel-log.ts";
import { parseMountinfo } from "./mounts.ts";
import { count } from "./sensor.ts";
import { parseSmartctl } from "./smartctl.ts";

const smart = JSON.stringify({
	model_name: "X",
	serial_number: "1",
	smart_status: { passed: true },
	ata_smart_attributes: { table: [{ id: 5, raw: { value: 1, string: "1" } }] },
	nvme_smart_health_information_log: { critical_warning: 0, media_errors: 3 },
	scsi_error_counter_log: { read: { total_uncorrected_errors: 0 } },
});
const kernel = [
	"3,17,2500000,-;EDAC MC0: 1 UE memory read error on DIMM_B1 (channel:1)",
	"4,18,2500000,-,caller=T1;nvme nvme0: I/O 12 QID 3 timeout, reset controller",
	"3,19,9,-;pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
	"3,20,9,-;BTRFS info (device sdc state E): forced readonly",
].join("\n");
const mounts = "22 27 0:21 / /pro\\040c rw,relatime shared:1 - proc proc rw\n23 22 8:1 / / ro - ext4 /dev/sda1 ro,x";

/** Each parser with a text that it understands. */
const parsers: [string, string, (text: string) => unknown][] = [
	["smartctl", smart, parseSmartctl],
	[
		"kmsg",
		kernel,
		(text) => {
			for (const line of text.split("\n")) {
				const record = parseRecord(line);
				if (record) kernelChanges(record, 1e12, null);
			}
		},
	],
	["mountinfo", mounts, parseMountinfo],
	["uptime", "123.45 67.89", parseUptime],
	["counter", "12345\n", count],
	["stat", "cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3 4", parseCpuTimes],
	["meminfo", "MemTotal:  100 kB\nMemAvailable:  50 kB\n", parseMeminfo],
	["loadavg", "0.12 0.34 0.56 1/234 567\n", parseLoadAverage1],
	["diskstats", "   8  0 sda 1 2 3 4 5 6 7 8 9 10 11\n", parseDiskstats],
	["net/dev", "h\nh\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", parseNetDev],
	["pressure", "some avg10=1.90 avg60=1.56 avg300=1.18 total=26812945\n", parsePressure],
	["os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian', parseOsRelease],
	["cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\n", parseCpuModel],
];

type Mutation = { kind: "cut" | "insert" | "repeat" | "replace"; at: number; text: string };
const mutation: fc.Arbitrary<Mutation> = fc.record({
	kind: fc.constantFrom("cut", "insert", "repeat", "replace"),
	at: fc.nat(1000),
	text: fc.oneof(
		fc.string({ unit: "binary", maxLength: 20 }),
		fc.constantFrom(
			"\u0000",
			"\u001b[2J",
			'"',
			"{",
			"[[[[",
			"-",
			"1e999",
			"99999999999999999999",
			" ".repeat(200),
			"\\777",
		),
	),
});

function mutate(text: string, { kind, at, text: piece }: Mutation): string {
	const place = at % (text.length + 1);
	switch (kind) {
		case "cut":
			return text.slice(0, place);
		case "insert":
			return text.slice(0, place) + piece + text.slice(place);
		case "repeat":
			return text.slice(0, place) + text.slice(0, place).repeat(3) + text.slice(place);
		case "replace":
			return text.slice(0, place) + piece + text.slice(place + piece.length);
	}
}

describe.each(parsers)("the parser of %s", (_, sample, parse) => {
	it("neither throws nor hangs on damaged text", () => {
		fc.assert(
			fc.property(fc.array(mutation, { minLength: 1, maxLength: 5 }), (mutations) => {
				parse(mutations.reduce(mutate, sample));
			}),
			{ numRuns: 1000, seed: 64 },
		);
	});

	it("stays fast on a long line made to mislead it", () => {
		const began = process.cpuUsage();
		for (const filler of [" ", "a", "1 ", '"', "\\", "(", "-", "= "]) parse(sample + filler.repeat(100_000));
		for (const filler of [" ", "1 ", "x"]) parse(sample.slice(0, 8) + filler.repeat(100_000));
		expect(process.cpuUsage(began).user).toBeLessThan(5_000_000);
	});
});
