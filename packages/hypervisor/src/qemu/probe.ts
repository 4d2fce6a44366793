import { spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";
import type { HypervisorFacts } from "../hypervisor.ts";
import { checkReachable, confine, confinedCommand, giveTo } from "./confinement.ts";
import { runTool } from "./tool.ts";

const payloadDeadlineMs = 3000;
const probeId = GuestId.parse("00000000-0000-4000-8000-000000000000");

/** boot-sectors/probe.s: goes to 64-bit mode, counts with SSE, changes its page tables, prints `boots`. */
const payload = bootSector(
	"fa31c08ed88ec08ed0bc007cbf0010b90018fcf3ab66c70600100320000066c70600200330000066c7060030830000000f20e0660d200600000f22e066b8001000000f22d866b9800000c00f32660d000100000f300f0116e87c0f20c06683e0fb660d030000800f22c0ea6f7c0800b8100000008ed08ed848c7c4007c000031c00fa2660f6ec0660ffec0c7042500200000033000000f20d80f22d848b8f0debc9a7856341248c1c0203d785634127513488d350f00000066baf803ac84c07403eeebf8f4ebfd626f6f74730a006690000000000000000000000000009a200000000000009200001700d07c",
);
const payloadText = "boots";

/**
 * What this machine's QEMU can do. A /dev/kvm that opens proves nothing (nested and software variants accept a guest
 * and never run its kernel), so a payload that does what a kernel does first has to answer through it.
 * @throws {SternaError} `unavailable` when not even software emulation runs.
 */
export async function probeMachine(options: {
	programs: { system: string };
	runFolder: string;
}): Promise<HypervisorFacts> {
	const { system } = options.programs;
	const qemuVersion = await readVersion(system);
	const machineTypes = await readMachineTypes(system);
	const kvm = await tryAccelerator(system, options.runFolder, "kvm");
	if (kvm === null) {
		const reason = "a boot payload ran on the processor's virtualization (KVM)";
		return { qemuVersion, machineTypes, probe: { accelerator: "kvm", reason }, simulated: false };
	}
	const tcg = await tryAccelerator(system, options.runFolder, "tcg");
	if (tcg !== null) throw new SternaError("unavailable", `QEMU cannot run a guest on this machine: ${tcg}`);
	return { qemuVersion, machineTypes, probe: { accelerator: "tcg", reason: kvm }, simulated: false };
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

async function readVersion(system: string): Promise<string> {
	const text = await runTool({
		program: system,
		arguments: ["--version"],
		timeoutMs: 10_000,
		purpose: "ask QEMU its version",
	});
	const match = /version (\d+)\.(\d+)\.(\d+)/.exec(text);
	if (!match) throw new SternaError("unavailable", `${system} does not say its version`);
	return match.slice(1, 4).join(".");
}

async function readMachineTypes(system: string): Promise<string[]> {
	const purpose = "ask QEMU its machine types";
	return parseMachineTypes(
		await runTool({ program: system, arguments: ["-machine", "help"], timeoutMs: 10_000, purpose }),
	);
}

/** Null when the payload answered; otherwise why it did not, as a sentence. */
async function tryAccelerator(system: string, runFolder: string, accelerator: "kvm" | "tcg"): Promise<string | null> {
	const folder = join(runFolder, `probe-${process.pid}-${accelerator}`);
	try {
		const confinement = await confine(probeId, accelerator === "kvm");
		await mkdir(folder, { recursive: true, mode: 0o711 });
		const image = join(folder, "boot");
		await writeFile(image, payload, { mode: 0o600 });
		await giveTo(confinement.uid, image);
		await checkReachable(confinement.uid, image);
		return await boot(confinedCommand([system, ...probeArgv(accelerator, image)], confinement), accelerator);
	} catch (error) {
		if (accelerator === "tcg") throw error;
		return "this machine has no /dev/kvm: guests run in software emulation";
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

function boot(command: string[], accelerator: "kvm" | "tcg"): Promise<string | null> {
	const [program = "", ...args] = command;
	const qemu = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
	// Software emulation is the last resort; a machine that is busy must not lose it.
	const deadlineMs = accelerator === "kvm" ? payloadDeadlineMs : 10 * payloadDeadlineMs;
	return new Promise((fulfil) => {
		let serial = "";
		let words = "";
		let late = false;
		const timer = setTimeout(() => {
			late = true;
			qemu.kill("SIGKILL");
		}, deadlineMs);
		qemu.stdout.setEncoding("utf8").on("data", (text: string) => {
			serial = (serial + text).slice(-4096);
			if (serial.includes(payloadText)) qemu.kill("SIGKILL");
		});
		qemu.stderr.setEncoding("utf8").on("data", (text: string) => {
			words = (words + text).slice(0, 4096);
		});
		qemu.on("error", (error) => {
			words = error.message;
		});
		qemu.on("close", () => {
			clearTimeout(timer);
			if (serial.includes(payloadText)) return fulfil(null);
			const subject = accelerator === "kvm" ? "/dev/kvm is there, but a boot payload" : "a boot payload";
			const how = late ? `did not answer within ${deadlineMs / 1000} s` : "ended QEMU";
			const said = words.split("\n").find((line) => line !== "" && !line.includes("warning:"));
			fulfil(`${subject} ${how}${said ? ` (${printable(said.replace(/^.*?qemu-system-\w+: /, ""), 200)})` : ""}`);
		});
	});
}

/** One sector with its signature, in a disk of 1 MiB. */
function bootSector(code: string): Buffer {
	const disk = Buffer.alloc(1024 * 1024);
	disk.write(code, "hex");
	disk.writeUInt16LE(0xaa55, 510);
	return disk;
}
