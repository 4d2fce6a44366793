import { chmod, mkdir, readdir, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";
import type {
	AcceptedGuest,
	AcceptRequest,
	CopyDisks,
	CopyMemory,
	CreateVolume,
	GuestStats,
	Hypervisor,
	HypervisorEvent,
	HypervisorFacts,
	ProcessReport,
	StartRequest,
	VolumeLocation,
	VolumeReport,
} from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import type { QmpEvent } from "../qmp/generated/schema.ts";
import { indexIn } from "./block-nodes.ts";
import { cancelMove } from "./cancel.ts";
import { copyDisks } from "./disk-copy.ts";
import { absentReport, label, poweredOffEnding, type QemuGuest, reportOf } from "./guest.ts";
import { lastWords, launch } from "./launch.ts";
import { checkRunFolder, guestPaths } from "./paths.ts";
import { probeMachine } from "./probe.ts";
import { findBySocket, killProcess, type ProcessIdentity, waitUntilGone } from "./process.ts";
import { type GuestRecord, readRecord, writeRecord } from "./record.ts";
import { SerialLine } from "./serial.ts";
import { copyMemory, switchOver } from "./source.ts";
import { readStats } from "./stats.ts";
import { removeTap } from "./tap.ts";
import { isLoaded, openForCopies, release } from "./target.ts";
import { Undo } from "./undo.ts";
import { createVolume, deleteVolume, inspectVolume } from "./volumes.ts";

export interface QemuOptions {
	/** Absolute paths of the programs. */
	programs: { system: string; img: string };
	/** Folder for sockets, logs and records of the guests' processes. Short: unix socket paths are at most 107 bytes. */
	runFolder: string;
}

/** How long an answer waits for a process that is about to be gone. */
const inspectPatienceMs = 5000;

/** Guests as QEMU processes: one each, confined, in a session of its own. */
export class QemuHypervisor implements Hypervisor {
	readonly #options: QemuOptions;
	readonly #guests = new Map<GuestId, QemuGuest>();
	readonly #starting = new Set<GuestId>();
	readonly #listeners = new Set<(event: HypervisorEvent) => void>();
	#facts: Promise<HypervisorFacts> | null = null;
	#closed = false;

	constructor(options: QemuOptions) {
		checkRunFolder(options.runFolder);
		this.#options = options;
	}

	probe(): Promise<HypervisorFacts> {
		this.#facts ??= this.#openRunFolder().then(() => probeMachine(this.#options));
		return this.#facts;
	}

	async adopt(): Promise<ProcessReport[]> {
		await this.#openRunFolder();
		const names = await readdir(this.#options.runFolder);
		const ids = names.flatMap((name) => GuestId.safeParse(name).data ?? []).filter((id) => !this.#guests.has(id));
		const processes = await findBySocket(ids.map((id) => this.#paths(id).qmp));
		const reports = await Promise.all(ids.map((id) => this.#adoptOne(id, processes.get(this.#paths(id).qmp) ?? null)));
		return reports.filter((report) => report !== null);
	}

	async inspect(guestId: GuestId): Promise<ProcessReport> {
		const guest = this.#guests.get(guestId);
		if (guest) {
			try {
				return await reportOf(guest);
			} catch (error) {
				// The process is ending, or its monitor is being connected again: one of the two is known shortly.
				if (guest.monitor.closed) await Promise.race([guest.gone, delay(inspectPatienceMs)]);
				if (this.#guests.get(guestId) === guest) throw error;
			}
		}
		return absentReport(guestId, await readRecord(this.#paths(guestId).record));
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async start(request: StartRequest): Promise<ProcessReport> {
		const { machineTypes } = await this.probe();
		const machine = request.spec.machine ?? machineTypes.find((type) => type.startsWith("pc-q35-"));
		if (!machine) throw new SternaError("incompatible", "this QEMU offers no versioned q35 machine");
		return this.#launch(request, machine, false, async (guest) => {
			const report = await reportOf(guest);
			if (report.state !== "running") {
				throw new SternaError("internal", `${label(guest)} was started and is ${report.state}`);
			}
			return report;
		});
	}

	async shutDown(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		await this.#expect(guest, ["running"], "shut down");
		await guest.monitor.execute("system_powerdown", {});
	}

	async powerOff(guestId: GuestId): Promise<void> {
		const guest = this.#guests.get(guestId);
		if (!guest) return;
		await this.#end(guest, "it was powered off");
	}

	async pause(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		await this.#expect(guest, ["running", "paused"], "pause");
		await guest.monitor.execute("stop", {}, { timeoutMs: 10_000 });
	}

	async resume(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		await this.#expect(guest, ["running", "paused"], "resume");
		await guest.monitor.execute("cont", {}, { timeoutMs: 10_000 });
	}

	async stats(guestId: GuestId): Promise<GuestStats> {
		return readStats(this.#guest(guestId));
	}

	serialLogPath(guestId: GuestId): string {
		return this.#paths(guestId).serialLog;
	}

	async serialWrite(guestId: GuestId, data: Uint8Array): Promise<void> {
		return this.#guest(guestId).serial.write(data);
	}

	async createVolume(request: CreateVolume): Promise<void> {
		return createVolume(this.#options.programs.img, request);
	}

	async deleteVolume(location: VolumeLocation): Promise<void> {
		return deleteVolume(location);
	}

	async inspectVolume(location: VolumeLocation): Promise<VolumeReport> {
		return inspectVolume(this.#options.programs.img, location);
	}

	async accept(request: AcceptRequest): Promise<AcceptedGuest> {
		const { machineTypes } = await this.probe();
		if (!machineTypes.includes(request.machine)) {
			throw new SternaError("incompatible", `this host's QEMU does not know the machine ${request.machine}`, {
				cure: "upgrade QEMU on this host",
			});
		}
		return this.#launch(request, request.machine, true, (guest) => openForCopies(guest, request));
	}

	async isLoaded(guestId: GuestId): Promise<boolean> {
		return isLoaded(this.#guest(guestId));
	}

	async release(guestId: GuestId): Promise<{ resumedAt: number }> {
		return release(this.#guest(guestId));
	}

	async copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void> {
		return copyDisks(this.#guest(request.guestId), request, signal);
	}

	async copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }> {
		return copyMemory(this.#guest(request.guestId), request, signal);
	}

	async switchOver(guestId: GuestId, signal: AbortSignal): Promise<void> {
		return switchOver(this.#guest(guestId), signal);
	}

	async cancelMigration(guestId: GuestId): Promise<void> {
		return cancelMove(this.#guest(guestId));
	}

	async close(): Promise<void> {
		this.#closed = true;
		for (const guest of this.#guests.values()) {
			guest.serial.close();
			guest.monitor.close();
		}
		this.#guests.clear();
		this.#listeners.clear();
	}

	async #launch<Result>(
		request: StartRequest,
		machine: string,
		incoming: boolean,
		complete: (guest: QemuGuest) => Promise<Result>,
	): Promise<Result> {
		const { id, name } = request.spec;
		if (this.#guests.has(id) || this.#starting.has(id)) {
			throw new SternaError("conflict", `guest ${name} has a process on this host already`);
		}
		this.#starting.add(id);
		const undo = new Undo();
		try {
			const { probe } = await this.probe();
			const accelerator = probe.accelerator === "kvm" ? "kvm" : "tcg";
			const { system } = this.#options.programs;
			const { runFolder } = this.#options;
			const launched = await launch({ request, system, runFolder, machine, accelerator, incoming }, undo);
			const { process, record, monitor } = launched;
			const guest = this.#keep({ id, record, process, monitor, exit: process.ended });
			undo.add(() => this.#end(guest, "it did not start"));
			const result = await complete(guest);
			undo.drop();
			return result;
		} catch (error) {
			await undo.run();
			throw error;
		} finally {
			this.#starting.delete(id);
		}
	}

	async #adoptOne(id: GuestId, process: ProcessIdentity | null): Promise<ProcessReport | null> {
		const paths = this.#paths(id);
		const record = await readRecord(paths.record);
		if (record === null) return null;
		if (process === null) {
			if (record.ending !== null) return null;
			const ending = `it ended while no agent looked: ${(await lastWords(paths)) || "QEMU said nothing"}`;
			await this.#cleanUp(id, { ...record, ending });
			return absentReport(id, { ...record, ending });
		}
		const monitor = await QmpClient.connect(paths.qmp, { owner: `guest ${record.spec.name}` });
		const guest = this.#keep({ id, record, process, monitor, exit: null });
		const report = await reportOf(guest);
		if (report.state === "absent") await this.#end(guest, poweredOffEnding);
		return report;
	}

	#keep(what: {
		id: GuestId;
		record: GuestRecord;
		process: ProcessIdentity;
		monitor: QmpClient;
		exit: Promise<string> | null;
	}): QemuGuest {
		const { id, record, process, monitor, exit } = what;
		const paths = this.#paths(id);
		const gone = Promise.withResolvers<void>();
		const guest: QemuGuest = {
			id,
			paths,
			process: { pid: process.pid, startTicks: process.startTicks },
			exit,
			gone: gone.promise,
			record,
			monitor,
			serial: new SerialLine(paths.serial, paths.serialLog),
			expectedEnding: null,
			toldState: null,
			move: null,
		};
		this.#guests.set(id, guest);
		this.#watch(guest, gone.resolve);
		return guest;
	}

	#watch(guest: QemuGuest, tellGone: () => void): void {
		guest.monitor.onEvent((event) => this.#onQmpEvent(guest, event));
		guest.monitor.onClose(() => {
			if (!this.#closed) void this.#onMonitorLost(guest, tellGone);
		});
	}

	/** The process ended, or only its monitor did: an event flood, a restart of the connection. */
	async #onMonitorLost(guest: QemuGuest, tellGone: () => void): Promise<void> {
		while (!(await waitUntilGone(guest.process, 2000))) {
			if (this.#closed) return;
			try {
				guest.monitor = await QmpClient.connect(guest.paths.qmp, { owner: label(guest) });
				this.#watch(guest, tellGone);
				return;
			} catch {
				await delay(500);
			}
		}
		if (this.#closed) return;
		const crashed = guest.expectedEnding === null;
		const ending = guest.expectedEnding ?? (await this.#howItEnded(guest));
		guest.record = { ...guest.record, ending };
		guest.serial.close();
		await this.#cleanUp(guest.id, guest.record).catch(() => undefined);
		this.#guests.delete(guest.id);
		tellGone();
		this.#tell({ type: "stateChanged", report: absentReport(guest.id, guest.record) });
		if (crashed) this.#tell({ type: "crashed", guestId: guest.id, ending });
	}

	async #howItEnded(guest: QemuGuest): Promise<string> {
		const exit = await Promise.race([guest.exit, delay(1000).then(() => null)]);
		const words = await lastWords(guest.paths);
		return [exit ?? "the process is gone", words].filter((part) => part !== "").join(": ");
	}

	/** Best effort after a process's end: what cannot be removed is replaced at the next start. */
	async #cleanUp(id: GuestId, record: GuestRecord): Promise<void> {
		const paths = this.#paths(id);
		for (const tap of record.taps) if (tap !== null) await removeTap(tap).catch(() => undefined);
		await rm(paths.socketFolder, { recursive: true, force: true });
		await writeRecord(paths.record, record);
	}

	/** Asks QEMU to end, which closes its images in order; kills it when it does not. */
	async #end(guest: QemuGuest, why: string): Promise<void> {
		guest.expectedEnding ??= why;
		await guest.monitor.execute("quit", {}).catch(() => undefined);
		if (!(await waitUntilGone(guest.process, 2000))) await killProcess(guest.process);
		await guest.gone;
	}

	#onQmpEvent(guest: QemuGuest, event: QmpEvent): void {
		switch (event.event) {
			case "SHUTDOWN":
				if (!event.data.guest) return;
				guest.expectedEnding ??= poweredOffEnding;
				this.#tell({ type: "poweredOff", guestId: guest.id });
				void this.#end(guest, poweredOffEnding).catch(() => undefined);
				return;
			case "RESET":
				if (event.data.guest) this.#tell({ type: "rebooted", guestId: guest.id });
				return;
			case "BLOCK_IO_ERROR":
				this.#onDiskError(guest, event.data);
				return;
			case "STOP":
			case "RESUME":
			case "MIGRATION":
				void this.#tellState(guest);
				return;
			default:
				return;
		}
	}

	#onDiskError(guest: QemuGuest, data: Extract<QmpEvent, { event: "BLOCK_IO_ERROR" }>["data"]): void {
		const node = data["node-name"] ?? "";
		const volume = node.startsWith("disk") ? guest.record.volumes[indexIn(node) ?? -1] : undefined;
		if (!volume) return;
		const operation = data.operation === "read" ? "read" : "write";
		const text = printable(data.reason);
		this.#tell({ type: "diskError", guestId: guest.id, volumeId: volume.volumeId, operation, text });
	}

	async #tellState(guest: QemuGuest): Promise<void> {
		// When the monitor is silent or gone there is nothing to report; its end is told by itself.
		const report = await reportOf(guest).catch(() => null);
		if (report === null || report.state === "absent" || report.state === guest.toldState) return;
		guest.toldState = report.state;
		this.#tell({ type: "stateChanged", report });
	}

	#tell(event: HypervisorEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}

	async #expect(guest: QemuGuest, states: ProcessReport["state"][], verb: string): Promise<void> {
		const { state } = await reportOf(guest);
		if (!states.includes(state)) throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: it is ${state}`);
	}

	#guest(guestId: GuestId): QemuGuest {
		const guest = this.#guests.get(guestId);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} has no process on this host`);
		return guest;
	}

	#paths(guestId: GuestId) {
		return guestPaths(this.#options.runFolder, guestId);
	}

	async #openRunFolder(): Promise<void> {
		await mkdir(this.#options.runFolder, { recursive: true, mode: 0o711 });
		await chmod(this.#options.runFolder, 0o711);
	}
}
