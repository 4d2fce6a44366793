import { rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type {
	AcceptedGuest,
	AcceptRequest,
	CopyDisks,
	CopyMemory,
	CreateVolume,
	DiskProgress,
	EndSnapshot,
	GrowVolume,
	GuestStats,
	Hypervisor,
	HypervisorEvent,
	HypervisorFacts,
	MoveVolume,
	ProcessReport,
	SnapshotReport,
	StartRequest,
	TakeSnapshot,
	VolumeLocation,
	VolumeReport,
	VolumeSource,
	VolumeTracking,
} from "../hypervisor.ts";
import { attachVolume } from "./attach.ts";
import { changeTracking } from "./bitmaps.ts";
import { cancelMove } from "./cancel.ts";
import { copyDisks } from "./disk-copy.ts";
import { fillVolumes, startFrom } from "./fill.ts";
import { holdsData } from "./fill-mark.ts";
import { resumeFromSources } from "./fill-sources.ts";
import { growVolume } from "./grow.ts";
import { expectState, label, type QemuGuest, refuseWhileMoving, reportOf } from "./guest.ts";
import { isThere } from "./guest-agent.ts";
import { checkRunFolder, openRunFolder } from "./paths.ts";
import { chooseMachine, probeMachine } from "./probe.ts";
import { QemuProcesses } from "./processes.ts";
import { screenshot } from "./screen.ts";
import { endSnapshot, isSnapshotWhole, takeSnapshot } from "./snapshot.ts";
import { copyMemory, switchOver } from "./source.ts";
import { readStats } from "./stats.ts";
import { isLoaded, openForCopies, release } from "./target.ts";
import { moveVolume } from "./volume-move.ts";
import { createVolume, deleteVolume, inspectVolume } from "./volumes.ts";

export interface QemuOptions {
	/** Absolute paths of the programs. */
	programs: { system: string; img: string };
	/** Folder for sockets, logs and records of the guests' processes. Short: unix socket paths are at most 107 bytes. */
	runFolder: string;
	/** File in which the answer of `probe` is remembered; without it each driver looks at its machine anew. */
	probeMemory?: string;
}

/** Guests as QEMU processes: one each, confined, in a session of its own. Each verb is a module; here they meet their guest. */
export class QemuHypervisor implements Hypervisor {
	readonly #options: QemuOptions;
	readonly #processes: QemuProcesses;
	#facts: Promise<HypervisorFacts> | null = null;

	constructor(options: QemuOptions) {
		checkRunFolder(options.runFolder);
		this.#options = options;
		this.#processes = new QemuProcesses({ system: options.programs.system, runFolder: options.runFolder });
	}

	probe(): Promise<HypervisorFacts> {
		this.#facts ??= openRunFolder(this.#options.runFolder).then(() => probeMachine(this.#options));
		return this.#facts;
	}

	adopt(): Promise<ProcessReport[]> {
		return this.#processes.adopt();
	}

	inspect(guestId: GuestId): Promise<ProcessReport> {
		return this.#processes.inspect(guestId);
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		return this.#processes.onEvent(listener);
	}

	async start(request: StartRequest): Promise<ProcessReport> {
		const facts = await this.probe();
		const machine = chooseMachine(facts, request.spec.machine);
		return this.#processes.launch(request, { machine, incoming: false, seats: [], facts }, seenRunning);
	}

	async shutDown(guestId: GuestId): Promise<void> {
		const guest = this.#processes.get(guestId);
		await expectState(guest, ["running"], "shut down");
		await guest.monitor.execute("system_powerdown", {});
	}

	async powerOff(guestId: GuestId): Promise<void> {
		return this.#processes.powerOff(guestId);
	}

	async pause(guestId: GuestId): Promise<void> {
		const guest = this.#processes.get(guestId);
		refuseWhileMoving(guest, "pause");
		await expectState(guest, ["running", "paused"], "pause");
		await guest.monitor.execute("stop", {}, { timeoutMs: 10_000 });
	}

	async resume(guestId: GuestId): Promise<void> {
		const guest = this.#processes.get(guestId);
		refuseWhileMoving(guest, "resume");
		await expectState(guest, ["running", "paused"], "resume");
		if (guest.record.sources.length > 0) await resumeFromSources(guest);
		else await guest.monitor.execute("cont", {}, { timeoutMs: 10_000 });
	}

	async stats(guestId: GuestId): Promise<GuestStats> {
		return readStats(this.#processes.get(guestId));
	}

	serialLogPath(guestId: GuestId): string {
		return this.#processes.paths(guestId).serialLog;
	}

	async serialWrite(guestId: GuestId, data: Uint8Array): Promise<void> {
		return this.#processes.get(guestId).serial.write(data);
	}

	async forget(guestId: GuestId): Promise<void> {
		this.#processes.refuseProcess(guestId, guestId);
		await rm(this.#processes.paths(guestId).folder, { recursive: true, force: true });
	}

	async createVolume(request: CreateVolume): Promise<void> {
		return createVolume(this.#options.programs.img, request);
	}

	async deleteVolume(location: VolumeLocation): Promise<void> {
		return deleteVolume(location);
	}

	async holdsData(location: VolumeLocation): Promise<boolean> {
		return holdsData(this.#options.programs.img, location);
	}

	async inspectVolume(location: VolumeLocation): Promise<VolumeReport> {
		return inspectVolume(this.#options.programs.img, location);
	}

	async accept(request: AcceptRequest): Promise<AcceptedGuest> {
		const facts = await this.probe();
		const machine = chooseMachine(facts, request.machine);
		const open = (guest: QemuGuest) => openForCopies(guest, request);
		return this.#processes.launch(request, { machine, incoming: true, seats: request.seats, facts }, open);
	}

	async isLoaded(guestId: GuestId): Promise<boolean> {
		return isLoaded(this.#processes.get(guestId));
	}

	async release(guestId: GuestId): Promise<{ resumedAt: number }> {
		return release(this.#processes.get(guestId));
	}

	async copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void> {
		return copyDisks(this.#processes.get(request.guestId), request, signal);
	}

	async copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }> {
		return copyMemory(this.#processes.get(request.guestId), request, signal);
	}

	async switchOver(guestId: GuestId, signal: AbortSignal): Promise<void> {
		return switchOver(this.#processes.get(guestId), signal);
	}

	async cancelMigration(guestId: GuestId): Promise<void> {
		return cancelMove(this.#processes.get(guestId));
	}

	async growVolume(request: GrowVolume): Promise<void> {
		return growVolume(this.#options.programs.img, this.#processes.find(request.guestId), request);
	}

	async attachVolume(guestId: GuestId, location: VolumeLocation): Promise<void> {
		return attachVolume(this.#processes.find(guestId), location);
	}

	async moveVolume(request: MoveVolume, signal: AbortSignal): Promise<void> {
		const { record } = this.#processes.paths(request.guestId);
		const files = { img: this.#options.programs.img, recordPath: record };
		return moveVolume(files, this.#processes.find(request.guestId), request, signal);
	}

	async isGuestAgentAlive(guestId: GuestId, timeoutMs: number): Promise<boolean> {
		return isThere(this.#processes.get(guestId), timeoutMs);
	}

	async screenshot(guestId: GuestId): Promise<Uint8Array> {
		return screenshot(this.#processes.get(guestId));
	}

	async changeTracking(guestId: GuestId, volumes: readonly VolumeLocation[]): Promise<VolumeTracking[]> {
		return changeTracking({ options: this.#options, guestId }, this.#processes.find(guestId), volumes);
	}

	async takeSnapshot(request: TakeSnapshot): Promise<SnapshotReport> {
		return takeSnapshot(this.#options, this.#processes.find(request.guestId), request);
	}

	async isSnapshotWhole(guestId: GuestId): Promise<boolean> {
		return isSnapshotWhole(this.#options, this.#processes.find(guestId), guestId);
	}

	async endSnapshot(request: EndSnapshot): Promise<void> {
		return endSnapshot(this.#options, this.#processes.find(request.guestId), request);
	}

	async startFrom(request: StartRequest, sources: readonly VolumeSource[]): Promise<ProcessReport> {
		return startFrom(this.#options.programs.img, this.#processes, await this.probe(), request, sources);
	}

	async fillVolumes(
		guestId: GuestId,
		onProgress: (progress: DiskProgress) => void,
		signal: AbortSignal,
	): Promise<void> {
		return fillVolumes(this.#processes.get(guestId), onProgress, signal);
	}

	async close(): Promise<void> {
		this.#processes.close();
	}
}

async function seenRunning(guest: QemuGuest): Promise<ProcessReport> {
	const report = await reportOf(guest);
	if (report.state === "running") return report;
	throw new SternaError("internal", `${label(guest)} was started and is ${report.state}`);
}
