import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Finding } from "@sterna/shared/health";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SensorClock, SensorCollector } from "./collector.ts";
import { Machine, startedAt } from "./fixtures/machine.ts";

const dimm = "/sys/devices/system/edac/mc/mc0/dimm0";

/** A clock that stands until it is moved; its timers run when it passes them. */
class StillClock implements SensorClock {
	time = startedAt;
	timers: { at: number; task: () => void }[] = [];

	now(): number {
		return this.time;
	}

	after(delayMs: number, task: () => void): () => void {
		const timer = { at: this.time + delayMs, task };
		this.timers.push(timer);
		return () => {
			this.timers = this.timers.filter((other) => other !== timer);
		};
	}

	move(ms: number): void {
		this.time += ms;
		const due = this.timers.filter(({ at }) => at <= this.time);
		this.timers = this.timers.filter(({ at }) => at > this.time);
		for (const { task } of due) task();
	}
}

describe("the collector", () => {
	let folder = "";
	let machine = new Machine();
	let clock = new StillClock();
	let told: Finding[][] = [];

	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), "sterna-sensors-"));
		machine = new Machine({ [`${dimm}/dimm_ce_count`]: 0, [`${dimm}/dimm_ue_count`]: 0, "/dev/kmsg": "" });
		clock = new StillClock();
		told = [];
	});
	afterEach(() => rm(folder, { recursive: true }));

	const open = (bootId = "boot-1") =>
		SensorCollector.open({
			root: machine,
			statePath: join(folder, "sensors.json"),
			bootId,
			pools: [],
			importantNics: ["eth0"],
			clock,
			log: pino({ level: "silent" }),
			onChange: (findings) => told.push(findings),
		});

	it("tells an uncorrected memory error at the first look after it", async () => {
		const collector = await open();
		await collector.sample("memory");
		expect(told).toEqual([]);
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		clock.move(1000);
		await collector.sample("memory");
		expect(told).toHaveLength(1);
		expect(told[0]).toEqual(collector.findings());
		expect(Finding.parse(told[0]?.[0])).toMatchObject({
			key: "memory/mc0.dimm0/uncorrectedErrors",
			severity: "failing",
			firstSeenAt: startedAt + 1000,
		});
		await collector.close();
	});

	it("looks again by itself at the sensor's period", async () => {
		const collector = await open();
		await collector.sample("memory");
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		clock.move(1000);
		// The timer began the sample; asking for one joins it.
		await collector.sample("memory");
		expect(collector.findings()).toHaveLength(1);
		await collector.close();
		expect(clock.timers).toEqual([]);
	});

	it("does not repeat what only goes on, and tells new readings at most every ten seconds", async () => {
		const collector = await open();
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		for (let second = 0; second < 25; second++) {
			await collector.sample("memory");
			clock.move(1000);
		}
		expect(told).toHaveLength(3);
		await collector.close();
	});

	it("looks again after thirty seconds when a reading awaits its confirmation", async () => {
		machine.smart("sda", {
			serial_number: "1",
			smart_status: { passed: true },
			ata_smart_attributes: { table: [{ id: 198, raw: { value: 1 } }] },
		});
		const collector = await open();
		await collector.sample("disk");
		expect(collector.findings()[0]?.severity).toBe("watch");
		clock.move(30_000);
		await collector.sample("disk");
		expect(collector.findings()[0]?.severity).toBe("degraded");
		await collector.close();
	});

	it("remembers findings, counters and the place in the kernel log over a restart", async () => {
		machine.set({ [`${dimm}/dimm_ue_count`]: 1, [`${dimm}/dimm_ce_count`]: 100 });
		machine.log(1, "critical medium error, dev sda, sector 1");
		const first = await open();
		for (const kind of ["memory", "kernel"] as const) await first.sample(kind);
		machine.set({ [`${dimm}/dimm_ce_count`]: 108 });
		clock.move(1000);
		await first.sample("memory");
		await first.close();
		const before = first.findings();
		machine.remove(dimm).set({ [`${dimm}/dimm_ce_count`]: 110, [`${dimm}/dimm_ue_count`]: 0 });
		clock.move(2000);
		const next = await open();
		expect(next.findings()).toEqual(before);
		for (const kind of ["memory", "kernel"] as const) await next.sample(kind);
		expect(next.findings().map(({ key, value }) => `${key} ${value}`)).toEqual([
			"memory/mc0.dimm0/uncorrectedErrors 1",
			"kernel/sda/mediumErrors 1",
			"memory/mc0.dimm0/correctedErrors 10",
		]);
		await next.close();
	});

	it("has a failing part on disk before it could be killed", async () => {
		const collector = await open();
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		await collector.sample("memory");
		await expect
			.poll(() => readFile(join(folder, "sensors.json"), "utf8").catch(() => ""))
			.toContain("memory/mc0.dimm0/uncorrectedErrors");
		expect((await open()).findings()).toHaveLength(1);
		await collector.close();
	});

	it("begins anew with a damaged memory instead of staying blind", async () => {
		await writeFile(join(folder, "sensors.json"), '{"version":1,"counters":[{');
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		const collector = await open();
		await collector.sample("memory");
		expect(collector.findings()).toHaveLength(1);
		await collector.close();
		const restarted = await open();
		expect(restarted.findings()).toHaveLength(1);
		await restarted.close();
	});

	it("lets a person release a finding", async () => {
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		const collector = await open();
		await collector.sample("memory");
		expect(collector.release("memory/mc0.dimm0/uncorrectedErrors")).toBe(true);
		expect(told.at(-1)).toEqual([]);
		clock.move(1000);
		await collector.sample("memory");
		expect(collector.findings()).toEqual([]);
		expect(collector.release("no/such/finding")).toBe(false);
		await collector.close();
	});

	it("says what it cannot see", async () => {
		const collector = await open();
		for (const kind of ["memory", "kernel", "network", "temperature", "disk", "filesystem"] as const) {
			await collector.sample(kind);
		}
		expect(collector.blindSpots()).toEqual([
			"the NICs of this server cannot be listed",
			"this server shows no thermometers",
			"the disks of this server cannot be listed",
		]);
		expect(collector.findings()).toEqual([]);
		await collector.close();
	});

	it("takes a sensor that does not answer for degraded, runs it once only, and goes on with the others", async () => {
		let answer = (_: null) => {};
		const list = machine.list.bind(machine);
		machine.list = (path) =>
			path === "/sys/class/net"
				? new Promise((resolve) => {
						answer = resolve;
					})
				: list(path);
		const collector = await open();
		const stuck = collector.sample("network");
		expect(collector.sample("network")).toBe(stuck);
		clock.move(30_000);
		expect(collector.findings()).toMatchObject([{ key: "probe/network/hung", severity: "watch" }]);
		clock.move(30_000);
		expect(collector.findings()).toMatchObject([{ key: "probe/network/hung", severity: "degraded", value: 60 }]);
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		await collector.sample("memory");
		expect(collector.findings()).toHaveLength(2);
		answer(null);
		await stuck;
		await collector.close();
	});

	it("keeps what it found when a sensor breaks", async () => {
		machine.set({ [`${dimm}/dimm_ue_count`]: 1 });
		const collector = await open();
		await collector.sample("memory");
		machine.list = () => Promise.reject(new Error("broken"));
		clock.move(1000);
		await collector.sample("memory");
		expect(collector.findings()).toHaveLength(1);
		expect(collector.blindSpots()).toEqual(["the memory sensor failed; the log of the agent says why"]);
		await collector.close();
	});
});
