import { GiB, MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import type { CreatePlan } from "../server/views-guests.ts";
import { errorsOf, freshDraft, wantedOf } from "./guest-draft.ts";

const offers: CreatePlan = {
	candidates: [],
	images: [
		{ name: "demo-initrd", sizeBytes: 1, hosts: 1 },
		{ name: "demo-kernel", sizeBytes: 1, hosts: 1 },
		{ name: "debian.qcow2", sizeBytes: 1, hosts: 1 },
	],
	pools: [{ name: "local", kind: "local", hosts: 3 }],
	networks: [{ name: "lan", hosts: 3 }],
	steps: [],
	undo: "",
};

test("a fresh draft takes what is offered: a kernel, an initrd, the first pool and network", () => {
	expect(wantedOf({ ...freshDraft, name: "web-1" }, offers)).toEqual({
		name: "web-1",
		vcpus: 1,
		memoryBytes: 256 * MiB,
		boot: { from: "kernel", kernel: "demo-kernel", initrd: "demo-initrd", commandLine: "console=ttyS0" },
		volumes: [{ pool: "local", sizeBytes: GiB }],
		networks: ["lan"],
		start: true,
	});
});

test("a guest that boots from its disk gets a copy of a disk image", () => {
	expect(wantedOf({ ...freshDraft, bootFrom: "disk" }, offers)).toMatchObject({
		boot: { from: "disk" },
		volumes: [{ fromImage: "debian.qcow2" }],
	});
});

test("nothing is asked for where nothing is offered yet", () => {
	expect(wantedOf(freshDraft, null)).toMatchObject({ volumes: [], networks: [] });
});

test("parts of a GiB become whole MiB", () => {
	expect(wantedOf({ ...freshDraft, diskGiB: "0.3" }, offers).volumes[0]?.sizeBytes).toBe(307 * MiB);
});

test.each([
	["vcpus", { vcpus: "0" }],
	["vcpus", { vcpus: "2.5" }],
	["vcpus", { vcpus: "257" }],
	["memory", { memoryMiB: "31" }],
	["memory", { memoryMiB: "1e9" }],
	["disk", { diskGiB: "-1" }],
	["disk", { diskGiB: "" }],
	["disk", { diskGiB: "lots" }],
	["disk", { bootFrom: "disk", diskGiB: "0" }],
] as const)("%s is refused in %j", (field, patch) => {
	expect(Object.keys(errorsOf({ ...freshDraft, ...patch }).sizes)).toEqual([field]);
});

test("the name follows the rule for every name", () => {
	expect(errorsOf({ ...freshDraft, name: "Web_1" }).name).toContain("lower-case letters");
	expect(errorsOf({ ...freshDraft, name: "web-1" }).name).toBeNull();
});
