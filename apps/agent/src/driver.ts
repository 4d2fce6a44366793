import { access, constants, mkdir } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import type { Hypervisor } from "@sterna/hypervisor/hypervisor";
import { QemuHypervisor } from "@sterna/hypervisor/qemu/driver";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { SternaError } from "@sterna/shared/errors";
import type { AgentConfig } from "./config.ts";

/** The driver that the configuration names. @throws {SternaError} `not_found` when QEMU is not installed. */
export async function openDriver(config: AgentConfig, dataDir: string): Promise<Hypervisor> {
	const runFolder = join(dataDir, "run");
	await mkdir(runFolder, { recursive: true, mode: 0o711 });
	if (config.driver === "simulated") return new SimulatedHypervisor({ runFolder });
	const programs = {
		system: await findProgram(config.qemuSystem, "qemuSystem"),
		img: await findProgram(config.qemuImg, "qemuImg"),
	};
	return new QemuHypervisor({ programs, runFolder, probeMemory: config.probeMemory });
}

/** A path as it is, a name as the shell finds it. */
async function findProgram(name: string, setting: string): Promise<string> {
	const candidates = isAbsolute(name)
		? [name]
		: (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
	for (const candidate of candidates) {
		const runs = await access(candidate, constants.X_OK).then(
			() => true,
			() => false,
		);
		if (runs) return candidate;
	}
	throw new SternaError("not_found", `the program ${name} is not on this server`, {
		cure: `install QEMU, or say where it is: ${setting} in config.json`,
	});
}
