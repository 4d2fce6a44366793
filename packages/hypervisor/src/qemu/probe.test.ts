import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseMachineTypes, probeMachine } from "./probe.ts";
import { readKvm } from "./probe-memory.ts";

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "probe-"));
	await chmod(folder, 0o711);
	await writeFile(boots(), "");
	await chmod(boots(), 0o666);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const boots = () => join(folder, "boots");
const patience = { kvm: { processorMs: 200, wallMs: 20_000 }, tcg: { processorMs: 20_000, wallMs: 20_000 } };
const hasKvm = (await readKvm()) !== null;

/** A program that answers like QEMU, writes down each boot, and answers on software emulation; what it does on KVM is told. */
async function fakeQemu(onKvm: "loops" | "sleeps" | "ends" | "answers", release = "10.0.2"): Promise<string> {
	const path = join(folder, "qemu-system-x86_64");
	const kvm = { loops: "while :; do :; done", sleeps: "exec sleep 60", ends: "exit 1", answers: "echo boots" }[onKvm];
	const script = [
		"#!/bin/sh",
		'case "$*" in',
		`*--version*) echo "QEMU emulator version ${release} (Debian)"; exit;;`,
		'*"-machine help"*) echo "pc-q35-9.2 Standard PC"; echo "pc-q35-10.0 Standard PC"; exit;;',
		`*"-accel kvm "*) echo kvm >>${boots()}; ${kvm};;`,
		`*"-accel tcg "*) echo tcg >>${boots()}; echo boots; exec sleep 60;;`,
		"esac",
	];
	await writeFile(path, script.join("\n"));
	await chmod(path, 0o755);
	return path;
}

test("machine types are the versioned q35 ones, newest first by number and not by letter", () => {
	const help =
		"pc-q35-9.2   PC\npc-q35-10.0   PC\nq35   PC (alias of pc-q35-10.0)\npc-i440fx-10.0   PC\npc-q35-4.0.1  PC\nnone  empty\n";
	expect(parseMachineTypes(help)).toEqual(["pc-q35-10.0", "pc-q35-9.2"]);
});

test("a payload that never answers on KVM is given up when it has had its time of the processor, and the reason is told", async () => {
	const system = await fakeQemu("loops");
	const facts = await probeMachine({ programs: { system }, runFolder: folder }, patience);
	expect(facts.probe.accelerator).toBe("tcg");
	expect(facts.probe.reason).toMatch(/kvm.*(did not answer in 0.2 s of processor time|software emulation)/i);
	expect(facts).toMatchObject({ qemuVersion: "10.0.2", machineTypes: ["pc-q35-10.0", "pc-q35-9.2"], simulated: false });
});

/** Probes, and says how often a payload was booted for that. */
async function countBoots(system: string, wallMs = 20_000) {
	await writeFile(boots(), "");
	const kvm = { ...patience.kvm, wallMs };
	const options = { programs: { system }, runFolder: folder, probeMemory: join(folder, "probe.json") };
	const facts = await probeMachine(options, { ...patience, kvm });
	return { facts, boots: (await readFile(boots(), "utf8")).split("\n").length - 1 };
}

test.each(["loops", "answers"] as const)("what was found where KVM %s is not tried again", async (onKvm) => {
	const system = await fakeQemu(onKvm);
	const first = await countBoots(system);
	expect(first.boots).toBeGreaterThan(0);
	expect(await countBoots(system)).toEqual({ facts: first.facts, boots: 0 });
});

test("another release of QEMU is tried anew, and so is everything after another boot of the machine", async () => {
	const { boots: atFirst } = await countBoots(await fakeQemu("loops"));
	const system = await fakeQemu("loops", "10.0.3");
	expect(await countBoots(system)).toMatchObject({ boots: atFirst, facts: { qemuVersion: "10.0.3" } });
	const memory = join(folder, "probe.json");
	await writeFile(memory, (await readFile(memory, "utf8")).replace(/"bootId":"[^"]+"/, '"bootId":"of-yesterday"'));
	expect(await countBoots(system)).toMatchObject({ boots: atFirst });
	expect(await countBoots(system)).toMatchObject({ boots: 0 });
});

test.runIf(hasKvm).each(["sleeps", "ends"] as const)(
	"a QEMU that %s on KVM may do better another time: it is tried again",
	async (onKvm) => {
		const system = await fakeQemu(onKvm);
		// Long enough for a busy machine to have begun it, and to see it end.
		const wallMs = onKvm === "sleeps" ? 2000 : 20_000;
		const first = await countBoots(system, wallMs);
		expect(first).toMatchObject({ boots: 2, facts: { probe: { accelerator: "tcg" } } });
		expect((await countBoots(system, wallMs)).boots).toBe(2);
		await fakeQemu("answers");
		expect((await countBoots(system)).facts.probe.accelerator).toBe("kvm");
	},
);

test("a machine on which nothing runs is unavailable", async () => {
	const system = join(folder, "none");
	await expect(probeMachine({ programs: { system }, runFolder: folder })).rejects.toMatchObject({
		code: "unavailable",
	});
});
