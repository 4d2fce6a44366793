import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseMachineTypes, probeMachine } from "./probe.ts";

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "probe-"));
	await chmod(folder, 0o711);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that answers like QEMU, and runs a payload on the accelerators named only; on the others it hangs. */
async function fakeQemu(runs: string): Promise<string> {
	const path = join(folder, "qemu-system-x86_64");
	const script = [
		"#!/bin/sh",
		'case "$*" in',
		'*--version*) echo "QEMU emulator version 10.0.2 (Debian)"; exit;;',
		'*"-machine help"*) echo "pc-q35-9.2 Standard PC"; echo "pc-q35-10.0 Standard PC"; exit;;',
		`*"-accel "*) for accel in ${runs}; do case "$*" in *"-accel $accel "*) echo boots;; esac; done; exec sleep 60;;`,
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

test("a payload that never answers on KVM is given up after three seconds, and the reason is told", async () => {
	const system = await fakeQemu("tcg");
	const facts = await probeMachine({ programs: { system }, runFolder: folder });
	expect(facts.probe.accelerator).toBe("tcg");
	expect(facts.probe.reason).toMatch(/kvm.*(did not answer within 3 s|software emulation)/i);
	expect(facts).toMatchObject({ qemuVersion: "10.0.2", machineTypes: ["pc-q35-10.0", "pc-q35-9.2"], simulated: false });
});

test("a machine on which nothing runs is unavailable", async () => {
	const system = join(folder, "none");
	await expect(probeMachine({ programs: { system }, runFolder: folder })).rejects.toMatchObject({
		code: "unavailable",
	});
});
