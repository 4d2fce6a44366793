import { describe, expect, it } from "vitest";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { minuteMs } from "./sensor.ts";
import { createTemperatureSensor } from "./temperature.ts";

const chip = "/sys/class/hwmon/hwmon2";
const zone = "/sys/class/thermal/thermal_zone0";

function cpu(celsius: number | string, more: Record<string, string | number> = {}): Machine {
	return new Machine({
		[`${chip}/name`]: "coretemp\n",
		[`${chip}/temp1_label`]: "Package id 0\n",
		[`${chip}/temp1_input`]: typeof celsius === "number" ? celsius * 1000 : celsius,
		[`${chip}/temp1_crit`]: 100_000,
		...more,
	});
}

const judge = async (machine: Machine) => short((await observe(createTemperatureSensor(machine)).at(0)).symptoms);

describe("temperature", () => {
	it.each([
		[45, []],
		[94.9, []],
		[95, ["temperature/hwmon2.temp1/hot degraded 95"]],
		[99.9, ["temperature/hwmon2.temp1/hot degraded 99.9"]],
		[100, ["temperature/hwmon2.temp1/hot failing 100"]],
	])("judges a CPU at %d °C of critical 100 °C", async (celsius, expected) => {
		expect(await judge(cpu(celsius))).toEqual(expected);
	});

	it("believes the chip's own alarm, also where the reading is missing", async () => {
		const machine = cpu("", { [`${chip}/temp1_crit_alarm`]: "1\n" });
		expect(await judge(machine)).toEqual(["temperature/hwmon2.temp1/hot failing 100"]);
	});

	it.each(["255000", "-128000", "hot", ""])("takes a reading of %j for unknown", async (text) => {
		const judged = await observe(createTemperatureSensor(cpu(text))).at(0);
		expect(judged.symptoms).toEqual([]);
		expect(judged.unseen.map(({ reason }) => reason)).toEqual([
			"the temperature of coretemp Package id 0 cannot be read",
		]);
	});

	it("knows no limit where the chip names none or nonsense", async () => {
		expect(await judge(cpu(99, { [`${chip}/temp1_crit`]: 0 }))).toEqual([]);
		expect(await judge(cpu(99).remove(`${chip}/temp1_crit`))).toEqual([]);
	});

	it("reads thermal zones with a critical trip point", async () => {
		const machine = new Machine({
			[`${zone}/type`]: "acpitz\n",
			[`${zone}/temp`]: 106_000,
			[`${zone}/trip_point_0_type`]: "passive\n",
			[`${zone}/trip_point_0_temp`]: 90_000,
			[`${zone}/trip_point_1_type`]: "critical\n",
			[`${zone}/trip_point_1_temp`]: 105_000,
		});
		expect(await judge(machine)).toEqual(["temperature/thermal_zone0/hot failing 106"]);
	});

	it("says that it is blind on a server without thermometers", async () => {
		const judged = await observe(createTemperatureSensor(new Machine())).at(0);
		expect(judged.unseen).toEqual([{ keyPrefix: "temperature/", reason: "this server shows no thermometers" }]);
	});
});

describe("throttling", () => {
	const throttled = (cpuIndex: number, totalMs: number) => ({
		[`/sys/devices/system/cpu/cpu${cpuIndex}/thermal_throttle/core_throttle_total_time_ms`]: totalMs,
		[`/sys/devices/system/cpu/cpu${cpuIndex}/topology/physical_package_id`]: Math.floor(cpuIndex / 256),
	});

	it.each([
		[0.05, []],
		[0.06, ["temperature/package0/throttled watch 6"]],
		[0.2, ["temperature/package0/throttled watch 20"]],
		[0.25, ["temperature/package0/throttled degraded 25"]],
	])("judges a CPU that was slowed for a share of %d of ten minutes", async (share, expected) => {
		const machine = new Machine(throttled(0, 1_000_000));
		const sensor = observe(createTemperatureSensor(machine));
		await sensor.at(0);
		machine.set(throttled(0, 1_000_000 + share * 10 * minuteMs));
		expect(short((await sensor.at(9 * minuteMs)).symptoms)).toEqual(expected);
	});

	it("names one finding per package of a server with 512 CPUs", async () => {
		const machine = new Machine();
		const all = (totalMs: (cpuIndex: number) => number) => {
			for (let cpuIndex = 0; cpuIndex < 512; cpuIndex++) machine.set(throttled(cpuIndex, totalMs(cpuIndex)));
		};
		all(() => 0);
		const sensor = observe(createTemperatureSensor(machine));
		await sensor.at(0);
		all((cpuIndex) => (cpuIndex >= 256 ? 100_000 + cpuIndex : 0));
		const { symptoms } = await sensor.at(minuteMs);
		expect(symptoms.map(({ key }) => key)).toEqual(["temperature/package1/throttled"]);
		expect(symptoms[0]?.raw).toContain("cpu511");
	});
});
