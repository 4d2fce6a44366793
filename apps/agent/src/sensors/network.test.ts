import { describe, expect, it } from "vitest";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { createNetworkSensor } from "./network.ts";
import { minuteMs } from "./sensor.ts";

const nic = (name: string, more: Record<string, string | number> = {}) => {
	const values = { operstate: "up\n", carrier: 1, carrier_changes: 2, "statistics/rx_crc_errors": 0, ...more };
	return Object.fromEntries(Object.entries(values).map(([file, value]) => [`/sys/class/net/${name}/${file}`, value]));
};
const judge = async (machine: Machine) => short((await observe(createNetworkSensor(machine, ["eth0"])).at(0)).symptoms);

describe("network", () => {
	it("says nothing of a NIC with a link, nor of one that is not important", async () => {
		const machine = new Machine({ ...nic("eth0"), ...nic("eth1", { carrier: 0 }) });
		expect(await judge(machine)).toEqual([]);
	});

	it("fails an important NIC without link, switched off, or gone", async () => {
		expect(await judge(new Machine(nic("eth0", { carrier: 0 })))).toEqual(["network/eth0/linkDown failing 1"]);
		const switchedOff = new Machine(nic("eth0", { operstate: "down" })).remove("/sys/class/net/eth0/carrier");
		expect(await judge(switchedOff)).toEqual(["network/eth0/linkDown failing 1"]);
		expect(await judge(new Machine(nic("lo")))).toEqual(["network/eth0/linkDown failing 1"]);
	});

	it("calls a link that cannot be read unknown", async () => {
		const machine = new Machine(nic("eth0", { carrier: "?", operstate: "" }));
		const judged = await observe(createNetworkSensor(machine, ["eth0"])).at(0);
		expect(judged).toEqual({
			symptoms: [],
			unseen: [{ keyPrefix: "network/eth0/link", reason: "the link of eth0 cannot be read" }],
		});
		expect((await observe(createNetworkSensor(new Machine(), ["eth0"])).at(0)).unseen).toHaveLength(1);
	});

	it.each([
		[3, []],
		[4, ["network/eth0/carrierChanges watch 4"]],
		[10, ["network/eth0/carrierChanges degraded 10"]],
	])("judges %i changes of the link in ten minutes", async (changes, expected) => {
		const machine = new Machine(nic("eth0"));
		const sensor = observe(createNetworkSensor(machine, ["eth0"]));
		await sensor.at(0);
		machine.set(nic("eth0", { carrier_changes: 2 + changes }));
		expect(short((await sensor.at(10_000)).symptoms)).toEqual(expected);
		expect((await sensor.at(11 * minuteMs)).symptoms).toEqual([]);
	});

	it.each([
		[10, []],
		[11, ["network/eth0/crcErrors degraded 11"]],
	])("judges %i wrong checksums in a minute", async (errors, expected) => {
		const machine = new Machine(nic("eth0"));
		const sensor = observe(createNetworkSensor(machine, ["eth0"]));
		await sensor.at(0);
		machine.set(nic("eth0", { "statistics/rx_crc_errors": errors }));
		expect(short((await sensor.at(10_000)).symptoms)).toEqual(expected);
	});

	it("degrades a bond at its last member", async () => {
		const bond = new Machine({
			...nic("eth0", { "bonding/slaves": "ens1 ens2\n" }),
			...nic("ens1"),
			...nic("ens2"),
		});
		expect(await judge(bond)).toEqual([]);
		expect(await judge(bond.set(nic("ens2", { operstate: "down" })))).toEqual([
			"network/eth0/bondAtLastMember degraded 1",
		]);
	});
});
