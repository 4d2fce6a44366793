import { expect, test } from "vitest";
import { GuestSpec } from "./guest.ts";
import { GuestId, newId, VolumeId } from "./ids.ts";
import { Name, printable } from "./names.ts";
import { MacAddress, VlanId } from "./network.ts";
import { GiB, MiB } from "./units.ts";

test.each([
	["a path", "../../etc/passwd"],
	["a null character", "a\u0000b"],
	["65,536 characters", "x".repeat(65_536)],
	["a right-to-left override", "web\u202e1"],
	["a zero-width space", "web\u200b-1"],
	["a Cyrillic look-alike", "w\u0435b-1"],
	["an option", "-drive"],
	["a comma for QEMU", "x,file=/etc/shadow"],
	["a shell expansion", "$" + "{IFS}"],
	["backticks", "`reboot`"],
	["nothing", ""],
	["an upper-case letter", "Web"],
])("a guest cannot be named with %s", (_what, name) => {
	expect(Name.safeParse(name).success).toBe(false);
});

test("ordinary host names are names", () => {
	for (const name of ["web-1", "a", "0", "orders-db", "x".repeat(63)]) expect(Name.parse(name)).toBe(name);
});

const spec = () => ({
	id: newId(GuestId),
	name: "web-1",
	vcpus: 1,
	memoryBytes: 128 * MiB,
	boot: { from: "disk" },
	volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: GiB }],
	nics: [{ mac: "52:54:00:00:00:01", network: "lan" }],
});

test.each([
	["negative memory", { memoryBytes: -1 }],
	["no memory", { memoryBytes: 0 }],
	["memory of 2^53", { memoryBytes: 2 ** 53 }],
	["endless memory", { memoryBytes: Number.POSITIVE_INFINITY }],
	["memory as text", { memoryBytes: "8G" }],
	["memory that is not a number", { memoryBytes: Number.NaN }],
	["no vCPU", { vcpus: 0 }],
	["100,000 vCPUs", { vcpus: 100_000 }],
	["a disk of 7 EiB", { volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: 7 * 2 ** 60 }] }],
	["a disk of 513 bytes", { volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: 513 }] }],
	["an unknown boot source", { boot: { from: "network" } }],
	["a field that does not exist", { autostart: true }],
	["a multicast NIC", { nics: [{ mac: "01:00:5e:00:00:01", network: "lan" }] }],
	["two NICs with one address", { nics: [1, 2].map(() => ({ mac: "52:54:00:00:00:01", network: "lan" })) }],
	["a network name that is a command", { nics: [{ mac: "52:54:00:00:00:01", network: "1;up" }] }],
	["a disk boot without a disk", { volumes: [] }],
	["a pool that is a path", { volumes: [{ id: newId(VolumeId), pool: "../..", sizeBytes: GiB }] }],
])("a guest with %s is refused", (_what, change) => {
	expect(GuestSpec.safeParse(spec()).success).toBe(true);
	expect(GuestSpec.safeParse({ ...spec(), ...change }).success).toBe(false);
});

test("VLANs 0, 4095 and text are refused", () => {
	for (const vlan of [0, 4095, "1;up", 1.5]) expect(VlanId.safeParse(vlan).success).toBe(false);
	expect(VlanId.parse(4094)).toBe(4094);
});

test("the null address is no NIC's address", () => {
	expect(MacAddress.safeParse("00:00:00:00:00:00").success).toBe(false);
});

test("text from outside loses its terminal sequences and invisible marks, and keeps the rest", () => {
	expect(printable("\u001b[31mred\u0007 \u202eevil <b>")).toBe("\ufffd[31mred\ufffd \ufffdevil <b>");
	expect(printable("x".repeat(1000), 10)).toHaveLength(10);
});
