import { describe, expect, it } from "vitest";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { createMemorySensor } from "./memory.ts";
import { dayMs, hourMs, minuteMs } from "./sensor.ts";

const mc = "/sys/devices/system/edac/mc/mc0";

function server(dimms = 2): Machine {
	const machine = new Machine({
		[`${mc}/ce_count`]: 0,
		[`${mc}/ue_count`]: 0,
		[`${mc}/ce_noinfo_count`]: 0,
		[`${mc}/ue_noinfo_count`]: 0,
		[`${mc}/seconds_since_reset`]: 86_400 * 30,
	});
	for (let index = 0; index < dimms; index++) {
		machine.set({
			[`${mc}/dimm${index}/dimm_ce_count`]: "0\n",
			[`${mc}/dimm${index}/dimm_ue_count`]: "0\n",
			[`${mc}/dimm${index}/dimm_label`]: `DIMM_B${index}\n`,
			[`${mc}/dimm${index}/dimm_location`]: `channel ${index} slot 0 \n`,
		});
	}
	return machine;
}

const corrected = (index: number, value: number | string) => ({ [`${mc}/dimm${index}/dimm_ce_count`]: value });
const uncorrected = (index: number, value: number) => ({ [`${mc}/dimm${index}/dimm_ue_count`]: value });

describe("memory", () => {
	it("says nothing of a server without errors", async () => {
		expect(await observe(createMemorySensor(server())).at(0)).toEqual({ symptoms: [], unseen: [] });
	});

	it("fails a module at its first uncorrected error and names it as a technician finds it", async () => {
		const machine = server();
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		machine.set(uncorrected(1, 1));
		const { symptoms } = await sensor.at(1000);
		expect(symptoms).toEqual([
			{
				key: "memory/mc0.dimm1/uncorrectedErrors",
				component: "DIMM_B1 (mc0 channel 1 slot 0)",
				signal: "uncorrectedErrors",
				severity: "failing",
				value: 1,
				threshold: 1,
				unit: "errors",
				windowMs: 86_400_000 * 30,
				rule: "any uncorrected memory error since the server started",
				raw: `${mc}/dimm1: 1 uncorrected errors`,
				relevant: true,
				oneShot: true,
			},
		]);
	});

	it("fails a module whose uncorrected error came before the agent's first look", async () => {
		const judged = await observe(createMemorySensor(server().set(uncorrected(0, 2)))).at(0);
		expect(short(judged.symptoms)).toEqual(["memory/mc0.dimm0/uncorrectedErrors failing 2"]);
	});

	it("blames the controller for an uncorrected error that belongs to no module", async () => {
		const judged = await observe(createMemorySensor(server().set({ [`${mc}/ue_count`]: 1 }))).at(0);
		expect(short(judged.symptoms)).toEqual(["memory/mc0/uncorrectedErrors failing 1"]);
	});

	it("counts an error in the controller's total and the module's once", async () => {
		const judged = await observe(createMemorySensor(server().set({ [`${mc}/ue_count`]: 1, ...uncorrected(0, 1) }))).at(
			0,
		);
		expect(short(judged.symptoms)).toEqual(["memory/mc0.dimm0/uncorrectedErrors failing 1"]);
	});

	it.each([
		[9, []],
		[10, ["memory/mc0.dimm0/correctedErrors watch 10"]],
		[99, ["memory/mc0.dimm0/correctedErrors watch 99"]],
		[100, ["memory/mc0.dimm0/correctedErrors degraded 100"]],
	])("judges %i corrected errors over a few hours", async (errors, expected) => {
		const machine = server();
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		for (let error = 1; error <= errors; error++) {
			machine.set(corrected(0, error));
			await sensor.at(error * 2 * minuteMs);
		}
		expect(short((await sensor.at(5 * hourMs)).symptoms)).toEqual(expected);
	});

	it("calls a thousand corrected errors within a minute a storm", async () => {
		const machine = server();
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		machine.set(corrected(1, 600));
		await sensor.at(20_000);
		machine.set(corrected(1, 1000));
		expect(short((await sensor.at(40_000)).symptoms)).toContain("memory/mc0.dimm1/correctedErrorStorm degraded 1000");
		expect(short((await sensor.at(5 * minuteMs)).symptoms)).toEqual(["memory/mc0.dimm1/correctedErrors degraded 1000"]);
	});

	it("forgets corrected errors after a day", async () => {
		const machine = server();
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		machine.set(corrected(0, 50));
		expect((await sensor.at(1000)).symptoms).toHaveLength(1);
		expect((await sensor.at(dayMs + 2000)).symptoms).toEqual([]);
	});

	it("does not blame old corrected errors on today when it looks for the first time", async () => {
		const judged = await observe(createMemorySensor(server().set(corrected(0, 250)))).at(0);
		expect(judged.symptoms).toEqual([]);
	});

	it("degrades a module that has had over a hundred corrected errors a day on the average of a month", async () => {
		const judged = await observe(createMemorySensor(server().set(corrected(0, 30 * 150)))).at(0);
		expect(short(judged.symptoms)).toEqual(["memory/mc0.dimm0/correctedErrors degraded 150"]);
	});

	it("counts corrected errors since a recent start of the server at the first look", async () => {
		const machine = server().set({ ...corrected(0, 250), [`${mc}/seconds_since_reset`]: 3600 });
		expect(short((await observe(createMemorySensor(machine)).at(0)).symptoms)).toEqual([
			"memory/mc0.dimm0/correctedErrors degraded 250",
		]);
	});

	it("takes a lower counter for a reset and counts on from there", async () => {
		const machine = server().set(corrected(0, 20));
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		machine.set(corrected(0, 12));
		expect(short((await sensor.at(1000)).symptoms)).toEqual(["memory/mc0.dimm0/correctedErrors watch 12"]);
	});

	it("takes the first counters after a reboot for a new beginning", async () => {
		const machine = server().set(corrected(0, 5));
		const sensor = observe(createMemorySensor(machine));
		await sensor.at(0);
		sensor.bootId = "boot-2";
		machine.set(corrected(0, 250));
		expect((await sensor.at(1000)).symptoms).toEqual([]);
	});

	it("says that it is blind without an EDAC driver instead of calling memory healthy", async () => {
		expect(await observe(createMemorySensor(new Machine())).at(0)).toEqual({
			symptoms: [],
			unseen: [{ keyPrefix: "memory/", reason: "no EDAC driver is loaded: memory errors cannot be seen" }],
		});
	});

	it.each(["", "garbage", "-5", "1e9", "99999999999999999999", "0x10", "\u0000"])(
		"takes %j for an unknown counter, not for zero or an error",
		async (text) => {
			const machine = server(1).set({ ...corrected(0, text), [`${mc}/dimm0/dimm_ue_count`]: text });
			const judged = await observe(createMemorySensor(machine)).at(0);
			expect(judged.symptoms).toEqual([]);
			expect(judged.unseen.map(({ keyPrefix }) => keyPrefix)).toEqual(["memory/mc0.dimm0/"]);
		},
	);

	it("finds the one bad module among 128", async () => {
		const machine = server(128).set(uncorrected(127, 1));
		expect(short((await observe(createMemorySensor(machine)).at(0)).symptoms)).toEqual([
			"memory/mc0.dimm127/uncorrectedErrors failing 1",
		]);
	});

	it("shows a label with control characters and markup as harmless text", async () => {
		const label = "\u001b[31m<script>\u202eB1\u0007";
		const machine = server(1).set({ ...uncorrected(0, 1), [`${mc}/dimm0/dimm_label`]: label });
		const [found] = (await observe(createMemorySensor(machine)).at(0)).symptoms;
		expect(found?.component).toBe("\ufffd[31m<script>\ufffdB1\ufffd (mc0 channel 0 slot 0)");
		expect(found?.key).toBe("memory/mc0.dimm0/uncorrectedErrors");
	});
});
