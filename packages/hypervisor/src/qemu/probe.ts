import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
import type { HypervisorFacts } from "../hypervisor.ts";
import { bootPayload, type Patience, payloadDisk, type Trial } from "./boot-payload.ts";
import { checkReachable, confine, confinedCommand, giveTo } from "./confinement.ts";
import { type Outcome, readCircumstances, readKvm, recall, remember } from "./probe-memory.ts";
import { runTool } from "./tool.ts";

const probeId = GuestId.parse("00000000-0000-4000-8000-000000000000");
/** Software emulation is the last resort: it is waited for longer. */
const usualPatience = {
	kvm: { processorMs: 2000, wallMs: 10_000 },
	tcg: { processorMs: 30_000, wallMs: 30_000 },
};

export interface ProbeOptions {
	programs: { system: string };
	runFolder: string;
	/** File for what a look at this machine told, shared by all that look at it as the same user; none: looked each time. */
	probeMemory?: string;
}

/**
 * What this machine's QEMU can do. A /dev/kvm that opens proves nothing (nested and software variants accept a guest
 * and never run its kernel), so a payload that does what a kernel does first has to answer through it.
 *
 * The answer is remembered while nothing has changed that it follows from, but for one that another try might change:
 * where QEMU gave up by itself (another hypervisor held the processor's virtualization) or was not given its time, the
 * next start of the driver looks again, so that no host stays on software emulation for a reason that has passed.
 * @throws {SternaError} `unavailable` when not even software emulation runs.
 */
export async function probeMachine(
	{ programs: { system }, runFolder, probeMemory }: ProbeOptions,
	patience: { kvm: Patience; tcg: Patience } = usualPatience,
): Promise<HypervisorFacts> {
	const version = await readVersion(system);
	const facts = (outcome: Outcome) => ({ qemuVersion: version.number, ...outcome, simulated: false });
	// Before the look: what changes while it lasts must not pass for what was looked at.
	const circumstances = probeMemory === undefined ? null : await readCircumstances(system, version.text);
	const known = probeMemory && circumstances ? await recall(probeMemory, circumstances) : null;
	if (known) return facts(known);

	const machineTypes = await readMachineTypes(system);
	const kvm = await tryAccelerator(system, runFolder, "kvm", patience.kvm);
	if (!kvm.runs) {
		const tcg = await tryAccelerator(system, runFolder, "tcg", patience.tcg);
		if (!tcg.runs) throw new SternaError("unavailable", `QEMU cannot run a guest on this machine: ${tcg.reason}`);
	}
	const outcome: Outcome = {
		machineTypes,
		probe: kvm.runs
			? { accelerator: "kvm", reason: "a boot payload ran on the processor's virtualization (KVM)" }
			: { accelerator: "tcg", reason: kvm.reason },
	};
	const isFinal = kvm.runs || kvm.isFinal;
	if (probeMemory && circumstances && isFinal) await remember(probeMemory, circumstances, outcome);
	return facts(outcome);
}

/** Versioned q35 machine types out of `-machine help`, newest first. */
export function parseMachineTypes(help: string): string[] {
	const names = [...help.matchAll(/^(pc-q35-\d+\.\d+)\s/gm)].flatMap((match) => match[1] ?? []);
	const release = (name: string) => name.slice("pc-q35-".length).split(".").map(Number);
	return [...new Set(names)].sort((a, b) => {
		const [left, right] = [release(a), release(b)];
		return (right[0] ?? 0) - (left[0] ?? 0) || (right[1] ?? 0) - (left[1] ?? 0);
	});
}

/** The wanted machine type, or the newest when none is. @throws {SternaError} `incompatible` when this QEMU does not have it. */
export function chooseMachine({ machineTypes, qemuVersion }: HypervisorFacts, wanted: string | undefined): string {
	const chosen = wanted ?? machineTypes[0];
	if (chosen !== undefined && machineTypes.includes(chosen)) return chosen;
	throw new SternaError("incompatible", `QEMU ${qemuVersion} does not know the machine ${wanted ?? "pc-q35"}`, {
		cure: "upgrade QEMU on this host",
	});
}

async function readVersion(system: string): Promise<{ number: string; text: string }> {
	const text = await runTool({
		program: system,
		arguments: ["--version"],
		timeoutMs: 10_000,
		purpose: "ask QEMU its version",
	});
	const match = /version (\d+)\.(\d+)\.(\d+)/.exec(text);
	if (!match) throw new SternaError("unavailable", `${system} does not say its version`);
	return { number: match.slice(1, 4).join("."), text };
}

async function readMachineTypes(system: string): Promise<string[]> {
	const purpose = "ask QEMU its machine types";
	return parseMachineTypes(
		await runTool({ program: system, arguments: ["-machine", "help"], timeoutMs: 10_000, purpose }),
	);
}

async function tryAccelerator(
	system: string,
	runFolder: string,
	accelerator: "kvm" | "tcg",
	patience: Patience,
): Promise<Trial> {
	if (accelerator === "kvm" && (await readKvm()) === null) {
		return { runs: false, reason: "this machine has no /dev/kvm: guests run in software emulation", isFinal: true };
	}
	const folder = join(runFolder, `probe-${process.pid}-${accelerator}`);
	try {
		const confinement = await confine(probeId, accelerator === "kvm");
		await mkdir(folder, { recursive: true, mode: 0o711 });
		const image = join(folder, "boot");
		await writeFile(image, payloadDisk, { mode: 0o600 });
		await giveTo(confinement.uid, image);
		await checkReachable(confinement.uid, image);
		const command = confinedCommand([system, ...probeArgv(accelerator, image)], confinement);
		const subject = accelerator === "kvm" ? "/dev/kvm is there, but a boot payload" : "a boot payload";
		return await bootPayload(command, subject, patience);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

function probeArgv(accelerator: "kvm" | "tcg", image: string): string[] {
	const file = { driver: "file", "node-name": "file", filename: image, "read-only": true };
	return [
		...["-machine", "q35", "-accel", accelerator, "-cpu", "Westmere-v1", "-m", "size=32M"],
		...["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"],
		...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
		...["-blockdev", JSON.stringify({ driver: "raw", "node-name": "boot", "read-only": true, file })],
		...["-device", JSON.stringify({ driver: "virtio-blk-pci", drive: "boot", bootindex: 1 })],
		...["-chardev", "stdio,id=serial,signal=off", "-device", "isa-serial,chardev=serial"],
	];
}
