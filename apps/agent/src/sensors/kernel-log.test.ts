import { describe, expect, it } from "vitest";
import type { Relevance } from "./block-devices.ts";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { createKernelSensor, type LogPosition, parseRecord } from "./kernel-log.ts";
import { dayMs, hourMs, minuteMs } from "./sensor.ts";

function sensorOf(
	machine: Machine,
	options: { relevance?: Relevance; resume?: LogPosition; importantNics?: string[] } = {},
) {
	return createKernelSensor({
		root: machine,
		bootId: "boot-1",
		resume: options.resume ?? null,
		relevance: async () => options.relevance ?? null,
		importantNics: options.importantNics ?? [],
	});
}

const empty = () => new Machine({ "/dev/kmsg": "" });
const judge = async (...texts: string[]) => short((await observe(sensorOf(empty().log(1, ...texts))).at(0)).symptoms);

describe("kernel messages", () => {
	it.each([
		["EDAC MC0: 1 UE memory read error on DIMM_B1 (channel:1 slot:0)", "kernel/MC0/uncorrectedMemoryError failing 1"],
		[
			"Memory failure: 0x1a2b3: recovery action for dirty LRU page: Recovered",
			"kernel/0x1a2b3/memoryFailure failing 1",
		],
		["mce: [Hardware Error]: Machine check events logged", "kernel/host/machineCheck watch 1"],
		["watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker:1]", "kernel/CPU_3/softLockup degraded 1"],
		["rcu: INFO: rcu_sched self-detected stall on CPU", "kernel/host/rcuStall degraded 1"],
		["I/O error, dev sda, sector 12345 op 0x0:(READ)", "kernel/sda/ioErrors watch 1"],
		["blk_update_request: critical medium error, dev sdb, sector 1", "kernel/sdb/mediumErrors watch 1"],
		["Buffer I/O error on dev dm-0, logical block 1, async page read", "kernel/dm-0/bufferErrors watch 1"],
		["nvme nvme0: I/O 12 QID 3 timeout, aborting", "kernel/nvme0/commandTimeouts watch 1"],
		["nvme nvme0: I/O 12 QID 3 timeout, reset controller", "kernel/nvme0/controllerResets watch 1"],
		["nvme nvme0: Device not ready; aborting reset, CSTS=0x1", "kernel/nvme0/controllerDead failing 1"],
		["ata3: hard resetting link", "kernel/ata3/linkResets watch 1"],
		["INFO: task qemu-system-x86:4711 blocked for more than 120 seconds.", "kernel/host/hungTasks watch 1"],
		["EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2", "kernel/sda1/filesystemErrors degraded 1"],
		["EXT4-fs (sda1): Remounting filesystem read-only", "kernel/sda1/remountedReadOnly failing 1"],
		["XFS (dm-1): Log I/O Error (0x2) detected. Shutting down filesystem.", "kernel/dm-1/filesystemShutDown failing 1"],
		["BTRFS info (device sdc state E): forced readonly", "kernel/sdc/remountedReadOnly failing 1"],
		[
			"pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
			"kernel/0000:00:01.0/pcieFatalErrors failing 1",
		],
		[
			"pcieport 0000:00:01.0: AER: Uncorrected (Non-Fatal) error received",
			"kernel/0000:00:01.0/pcieNonFatalErrors degraded 1",
		],
		["NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out", "kernel/eth0/transmitTimeouts watch 1"],
		["Out of memory: Killed process 991 (java) total-vm:1kB", "kernel/host/outOfMemoryKills watch 1"],
	])("reads %j", async (text, expected) => {
		expect(await judge(text)).toEqual([expected]);
	});

	it.each([
		"usb 1-1: new high-speed USB device number 2",
		"EDAC MC0: Giving out device to module skx_edac",
		"EDAC MC0: 1 CE memory read error on DIMM_A1",
		"EXT4-fs (sda1): mounted filesystem with ordered data mode",
		"Out of memory: Killed process 1 (EDAC MC0: 1 UE x) total-vm:1kB".replace("Out", "out"),
	])("takes %j for ordinary", async (text) => {
		expect(await judge(text)).toEqual([]);
	});

	it.each([
		["mediumErrors", "critical medium error, dev sda, sector 1", 2, "watch", 3, "degraded"],
		["ioErrors", "I/O error, dev sda, sector 1", 9, "watch", 10, "degraded"],
		["controllerResets", "nvme nvme1: I/O 1 QID 1 timeout, reset controller", 2, "watch", 3, "failing"],
		["linkResets", "ata1: hard resetting link", 2, "watch", 3, "degraded"],
		["softLockup", "watchdog: BUG: soft lockup - CPU#3 stuck for 22s!", 1, "degraded", 2, "failing"],
	])("weighs %s by how often they come", async (_, text, few, severity, many, worse) => {
		expect((await judge(...Array<string>(few).fill(text)))[0]).toContain(` ${severity} `);
		expect((await judge(...Array<string>(many).fill(text)))[0]).toContain(` ${worse} `);
	});

	it("lets a rate fall again when the messages stop", async () => {
		const machine = empty().log(1, ...Array<string>(3).fill("critical medium error, dev sda, sector 1"));
		const sensor = observe(sensorOf(machine));
		expect(short((await sensor.at(0)).symptoms)).toEqual(["kernel/sda/mediumErrors degraded 3"]);
		expect(short((await sensor.at(11 * minuteMs)).symptoms)).toEqual(["kernel/sda/mediumErrors watch 3"]);
		expect((await sensor.at(dayMs + hourMs)).symptoms).toEqual([]);
	});

	it("believes the kernel only, not programs that write into its log", async () => {
		const machine = new Machine({ "/dev/kmsg": "12,1,1000,-;EDAC MC0: 1 UE memory read error on DIMM_B1\n" });
		expect((await observe(sensorOf(machine)).at(0)).symptoms).toEqual([]);
	});

	it("does not count again what an earlier life of the agent has read in the same boot", async () => {
		const machine = empty().log(1, "EDAC MC0: 1 UE x", "critical medium error, dev sda, sector 1");
		const resumed = observe(sensorOf(machine, { resume: { bootId: "boot-1", sequence: 1 } }));
		expect(short((await resumed.at(0)).symptoms)).toEqual(["kernel/sda/mediumErrors watch 1"]);
		const rebooted = observe(sensorOf(machine, { resume: { bootId: "boot-0", sequence: 99 } }));
		expect((await rebooted.at(0)).symptoms).toHaveLength(2);
	});

	it("counts messages at the time they were written, and none older than a day", async () => {
		const twoDays = (2 * dayMs) / 1000;
		const line = (secondsAgo: number) =>
			`3,1,${(twoDays - secondsAgo) * 1_000_000},-;critical medium error, dev sda, sector 1\n`;
		const machine = new Machine({ "/proc/uptime": `${twoDays}.00 1.00\n`, "/dev/kmsg": line(3600).repeat(5) });
		expect(short((await observe(sensorOf(machine)).at(0)).symptoms)).toEqual(["kernel/sda/mediumErrors watch 5"]);
		machine.set({ "/dev/kmsg": line(twoDays - 1) });
		expect((await observe(sensorOf(machine)).at(0)).symptoms).toEqual([]);
	});

	it("tells disks and NICs that carry nothing from those that do", async () => {
		const machine = empty().log(
			1,
			"I/O error, dev sda, sector 1",
			"I/O error, dev sdz, sector 1",
			"nvme nvme0: Device not ready; aborting reset",
			"NETDEV WATCHDOG: eth7 (x): transmit queue 0 timed out",
		);
		const options = { relevance: new Set(["sda", "nvme0n1"]), importantNics: ["eth0"] };
		const { symptoms } = await observe(sensorOf(machine, options)).at(0);
		expect(symptoms.map(({ component, relevant }) => `${component} ${relevant}`)).toEqual([
			"/dev/sda true",
			"/dev/sdz false",
			"/dev/nvme0 true",
			"eth7 false",
		]);
	});

	it("says that it is blind when the log cannot be read", async () => {
		const judged = await observe(sensorOf(new Machine())).at(0);
		expect(judged.unseen).toEqual([{ keyPrefix: "kernel/", reason: "the kernel log /dev/kmsg cannot be read" }]);
	});

	it("shows a message with control characters as harmless text", async () => {
		const machine = empty().log(1, "EXT4-fs error (device sda1): \u001b[2J<b>\u0007");
		const [found] = (await observe(sensorOf(machine)).at(0)).symptoms;
		expect(found?.raw).toBe("EXT4-fs error (device sda1): \ufffd[2J<b>\ufffd");
	});

	it("leaves out lines that are no records", () => {
		expect(parseRecord(" SUBSYSTEM=block")).toBeNull();
		expect(parseRecord("3,1,1000;no flags")).toBeNull();
		expect(parseRecord("")).toBeNull();
		expect(parseRecord("4,17,2500000,-,caller=T1;hello; world")).toEqual({
			sequence: 17,
			sinceBootMs: 2500,
			text: "hello; world",
		});
	});
});
