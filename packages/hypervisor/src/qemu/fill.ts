import { SternaError } from "@sterna/shared/errors";
import type { DiskProgress, HypervisorFacts, ProcessReport, StartRequest, VolumeSource } from "../hypervisor.ts";
import type { QemuGuest } from "./guest.ts";
import type { QemuProcesses } from "./processes.ts";

/** Starts a guest whose volumes are not here yet. */
export async function startFrom(
	_processes: QemuProcesses,
	_facts: HypervisorFacts,
	_request: StartRequest,
	_sources: readonly VolumeSource[],
): Promise<ProcessReport> {
	throw new SternaError("internal", "starting a guest from elsewhere is not built yet");
}

/** Copies what is still missing while the guest runs. */
export async function fillVolumes(
	_guest: QemuGuest,
	_onProgress: (progress: DiskProgress) => void,
	_signal: AbortSignal,
): Promise<void> {
	throw new SternaError("internal", "filling volumes is not built yet");
}
