import { describe, expect, it } from "vitest";
import { createDiskSensor } from "./disk.ts";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { hourMs, minuteMs } from "./sensor.ts";

const everythingMatters = async () => null;

function sata(attributes: Record<number, number> = {}, more: object = {}) {
	const all = { 5: 0, 187: 0, 188: 0, 197: 0, 198: 0, ...attributes };
	return {
		model_name: "WDC WD40EFRX",
		serial_number: "WD-1",
		smart_status: { passed: true },
		ata_smart_attributes: {
			table: Object.entries(all).map(([id, value]) => ({ id: Number(id), raw: { value, string: `${value}` } })),
		},
		...more,
	};
}

function nvme(log: Record<string, number> = {}, passed = true) {
	const healthy = { critical_warning: 0, available_spare: 100, available_spare_threshold: 10, percentage_used: 3 };
	return {
		model_name: "Samsung PM9A3",
		serial_number: "S-1",
		smart_status: { passed },
		nvme_smart_health_information_log: { ...healthy, media_errors: 0, ...log },
	};
}

async function judge(json: unknown, exitCode = 0, device = "sda") {
	const judged = await observe(createDiskSensor(new Machine().smart(device, json, exitCode), everythingMatters)).at(0);
	return short(judged.symptoms);
}

describe("SATA disks", () => {
	it("says nothing of a healthy disk, also when old log entries set the exit code", async () => {
		expect(await judge(sata())).toEqual([]);
		expect(await judge(sata(), 64)).toEqual([]);
	});

	it.each([
		[{ 5: 8 }, ["disk/WD-1/reallocatedSectors watch 8"]],
		[{ 187: 1 }, ["disk/WD-1/reportedUncorrectable degraded 1"]],
		[{ 188: 2 }, ["disk/WD-1/commandTimeouts watch 2"]],
		[{ 197: 3 }, ["disk/WD-1/pendingSectors watch 3"]],
		[{ 198: 1 }, ["disk/WD-1/offlineUncorrectable degraded 1"]],
		[
			{ 5: 1, 197: 1 },
			[
				"disk/WD-1/badAttributes degraded 2",
				"disk/WD-1/pendingSectors watch 1",
				"disk/WD-1/reallocatedSectors watch 1",
			],
		],
	])("judges the attributes %j", async (attributes, expected) => {
		expect(await judge(sata(attributes))).toEqual(expected);
	});

	it("reads the packed command timeouts of Seagate disks", async () => {
		expect(await judge(sata({ 188: 0x0003_0002_0000 }))).toEqual([]);
		expect(await judge(sata({ 188: 0x0003_0002_0001 }))).toEqual(["disk/WD-1/commandTimeouts watch 1"]);
	});

	it("fails a disk that calls itself failing, and believes the exit code alone", async () => {
		expect(await judge(sata({}, { smart_status: { passed: false } }), 8)).toEqual([
			"disk/WD-1/selfAssessment failing 1",
		]);
		expect(await judge(sata(), 8)).toEqual(["disk/WD-1/selfAssessment failing 1"]);
	});

	it("tells attributes at their threshold and failed self-tests from the exit code", async () => {
		expect(await judge(sata(), 16 | 128)).toEqual([
			"disk/WD-1/prefailAttribute degraded 1",
			"disk/WD-1/selfTest watch 1",
		]);
	});

	it("degrades a disk whose pending sectors become more", async () => {
		const machine = new Machine().smart("sda", sata({ 197: 3 }));
		const sensor = observe(createDiskSensor(machine, everythingMatters));
		await sensor.at(0);
		machine.smart("sda", sata({ 197: 4 }));
		expect(short((await sensor.at(30 * minuteMs)).symptoms)).toEqual(["disk/WD-1/pendingSectors degraded 1"]);
	});

	it("degrades a disk that replaces ten sectors in a day", async () => {
		const machine = new Machine().smart("sda", sata({ 5: 100 }));
		const sensor = observe(createDiskSensor(machine, everythingMatters));
		await sensor.at(0);
		machine.smart("sda", sata({ 5: 109 }));
		expect(short((await sensor.at(hourMs)).symptoms)).toEqual(["disk/WD-1/reallocatedSectors watch 109"]);
		machine.smart("sda", sata({ 5: 110 }));
		expect(short((await sensor.at(2 * hourMs)).symptoms)).toEqual(["disk/WD-1/reallocatedSectors degraded 10"]);
	});

	it("keeps a finding with the disk when the kernel gives it another name", async () => {
		expect(await judge(sata({ 198: 1 }), 0, "sdq")).toEqual(["disk/WD-1/offlineUncorrectable degraded 1"]);
	});
});

describe("NVMe disks", () => {
	it.each([
		[nvme(), 0, []],
		[nvme({ critical_warning: 1 }, false), 8, ["disk/S-1/spareBelowThreshold failing 1"]],
		[nvme({ critical_warning: 2 }, false), 8, ["disk/S-1/temperatureWarning degraded 1"]],
		[nvme({ critical_warning: 4 }, false), 8, ["disk/S-1/reliabilityDegraded failing 1"]],
		[nvme({ critical_warning: 8 }, false), 8, ["disk/S-1/readOnly failing 1"]],
		[nvme({ critical_warning: 16 }, false), 8, ["disk/S-1/backupFailed degraded 1"]],
		[nvme({ available_spare: 15 }), 0, ["disk/S-1/availableSpare degraded 15"]],
		[nvme({ available_spare: 16 }), 0, []],
		[nvme({ percentage_used: 89 }), 0, []],
		[nvme({ percentage_used: 90 }), 0, ["disk/S-1/percentageUsed watch 90"]],
		[nvme({ percentage_used: 100 }), 0, ["disk/S-1/percentageUsed degraded 100"]],
	])("judges %j", async (json, exitCode, expected) => {
		expect(await judge(json, exitCode, "nvme0n1")).toEqual(expected);
	});

	it("minds media errors when they become more, not when they are old", async () => {
		const machine = new Machine().smart("nvme0n1", nvme({ media_errors: 7 }));
		const sensor = observe(createDiskSensor(machine, everythingMatters));
		expect((await sensor.at(0)).symptoms).toEqual([]);
		machine.smart("nvme0n1", nvme({ media_errors: 8 }));
		expect(short((await sensor.at(30 * minuteMs)).symptoms)).toEqual(["disk/S-1/mediaErrors degraded 1"]);
	});
});

describe("SAS disks", () => {
	const sas = (grown: number, uncorrected: number) => ({
		scsi_model_name: "SEAGATE ST8000",
		serial_number: "Z-1",
		smart_status: { passed: true },
		scsi_grown_defect_list: grown,
		scsi_error_counter_log: {
			read: { total_uncorrected_errors: uncorrected },
			write: { total_uncorrected_errors: 0 },
		},
	});

	it("watches old defects and errors, and degrades a disk whose errors become more", async () => {
		const machine = new Machine().smart("sdb", sas(3, 1));
		const sensor = observe(createDiskSensor(machine, everythingMatters));
		expect(short((await sensor.at(0)).symptoms)).toEqual([
			"disk/Z-1/grownDefects watch 3",
			"disk/Z-1/uncorrectedErrors watch 1",
		]);
		machine.smart("sdb", sas(13, 2));
		expect(short((await sensor.at(hourMs)).symptoms)).toEqual([
			"disk/Z-1/grownDefects degraded 10",
			"disk/Z-1/uncorrectedErrors degraded 1",
		]);
	});
});

describe("disks that say nothing", () => {
	it.each([
		["garbage", "not json"],
		["an error message", '{"smartctl":{"exit_status":2,"messages":[{"string":"Open failed"}]}}'],
		["half a report", JSON.stringify(sata()).slice(0, 120)],
		["keys that reach into prototypes", '{"__proto__":{"passed":false}}'],
		["an array", "[]"],
		["nothing", ""],
	])("calls a disk that answers with %s unknown", async (_, text) => {
		const judged = await observe(createDiskSensor(new Machine().smart("sda", text, 2), everythingMatters)).at(0);
		expect(judged.symptoms).toEqual([]);
		expect(judged.unseen).toEqual([{ keyPrefix: "disk/", reason: "/dev/sda: smartctl gave no report (exit code 2)" }]);
	});

	it("judges what is whole in a report with damaged parts", async () => {
		const json = { ...sata({ 198: 1 }), smart_status: "?", model_name: 7, nvme_smart_health_information_log: [] };
		expect(await judge(json)).toEqual(["disk/WD-1/offlineUncorrectable degraded 1"]);
	});

	it("says which package is missing", async () => {
		const machine = new Machine({ "/sys/block/sda/size": 1 });
		const judged = await observe(createDiskSensor(machine, everythingMatters)).at(0);
		expect(judged.unseen.map(({ reason }) => reason)).toEqual([
			"/dev/sda: smartctl is not installed (package smartmontools)",
		]);
	});

	it("asks neither loop devices nor virtual disks", async () => {
		const machine = new Machine({ "/sys/block/loop0/size": 1, "/sys/block/vda/size": 1, "/sys/block/dm-0/size": 1 });
		expect(await observe(createDiskSensor(machine, everythingMatters)).at(0)).toEqual({ symptoms: [], unseen: [] });
	});

	it("takes a query that does not end for a sign in itself, and what was found before for still open", async () => {
		const machine = new Machine().smart("sda", sata());
		const sensor = observe(createDiskSensor(machine, everythingMatters));
		await sensor.at(0);
		machine.tools.set("smartctl sda", { status: "hung", forMs: 20_000 });
		expect(short((await sensor.at(minuteMs)).symptoms)).toEqual(["disk-probe/sda/hung watch 20"]);
		machine.tools.set("smartctl sda", { status: "hung", forMs: 55_000 });
		const judged = await sensor.at(2 * minuteMs);
		expect(short(judged.symptoms)).toEqual(["disk-probe/sda/hung degraded 55"]);
		expect(judged.unseen.map(({ keyPrefix }) => keyPrefix)).toEqual(["disk/WD-1/"]);
	});

	it("shows a model and serial with control characters and markup as harmless text", async () => {
		const json = sata({ 198: 1 }, { model_name: "\u001b]0;x\u0007<img src=x>", serial_number: "a/../\u202eb\n1" });
		const machine = new Machine().smart("sda", json);
		const [found] = (await observe(createDiskSensor(machine, everythingMatters)).at(0)).symptoms;
		expect(found?.component).toBe("/dev/sda (\ufffd]0;x\ufffd<img src=x>, serial a/../\ufffdb 1)");
		expect(found?.key).toBe("disk/a_.._b_1/offlineUncorrectable");
	});

	it("marks a bad disk that carries nothing as an alert only", async () => {
		const machine = new Machine()
			.smart("sda", sata({ 198: 1 }))
			.smart("sdb", { ...sata({ 198: 1 }), serial_number: "2" });
		const judged = await observe(createDiskSensor(machine, async () => new Set(["sda", "sda1"]))).at(0);
		expect(judged.symptoms.map(({ component, relevant }) => [component, relevant])).toEqual([
			["/dev/sda (WDC WD40EFRX, serial WD-1)", true],
			["/dev/sdb (WDC WD40EFRX, serial 2)", false],
		]);
	});
});
