import { readdir, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
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
import { cleanUp, foundEnded, howItEnded } from "./aftermath.ts";
import { cancelMove } from "./cancel.ts";
import { copyDisks } from "./disk-copy.ts";
import { translate } from "./events.ts";
import {
	absentReport,
	expectState,
	label,
	poweredOffEnding,
	type QemuGuest,
	qemuGuest,
	refuseWhileMoving,
	reportOf,
	unheardReport,
} from "./guest.ts";
import { launch } from "./launch.ts";
import { checkRunFolder, guestPaths, openRunFolder } from "./paths.ts";
import { chooseMachine, probeMachine } from "./probe.ts";
import { findBySocket, killProcess, type ProcessIdentity, waitUntilGone } from "./process.ts";
import { readRecord } from "./record.ts";
import { copyMemory, switchOver } from "./source.ts";
import { readStats } from "./stats.ts";
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
	/** Guests whose process is there but whose monitor has not answered since this driver came. */
	readonly #unheard = new Map<GuestId, { process: ProcessIdentity; report: ProcessReport; settled: Promise<void> }>();
	readonly #listeners = new Set<(event: HypervisorEvent) => void>();
	#facts: Promise<HypervisorFacts> | null = null;
	#closed = false;

	constructor(options: QemuOptions) {
		checkRunFolder(options.runFolder);
		this.#options = options;
	}

	probe(): Promise<HypervisorFacts> {
		this.#facts ??= openRunFolder(this.#options.runFolder).then(() => probeMachine(this.#options));
		return this.#facts;
	}

	async adopt(): Promise<ProcessReport[]> {
		await openRunFolder(this.#options.runFolder);
		const names = await readdir(this.#options.runFolder);
		const ids = names
			.flatMap((name) => GuestId.safeParse(name).data ?? [])
			.filter((id) => !this.#guests.has(id) && !this.#unheard.has(id));
		const processes = await findBySocket(ids.map((id) => this.#paths(id).qmp));
		const reports = await Promise.all(ids.map((id) => this.#adoptOrKeepTrying(id, processes.get(this.#paths(id).qmp))));
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
		return this.#unheard.get(guestId)?.report ?? absentReport(guestId, await readRecord(this.#paths(guestId).record));
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async start(request: StartRequest): Promise<ProcessReport> {
		const machine = chooseMachine(await this.probe(), request.spec.machine);
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
		await expectState(guest, ["running"], "shut down");
		await guest.monitor.execute("system_powerdown", {});
	}

	async powerOff(guestId: GuestId): Promise<void> {
		const guest = this.#guests.get(guestId);
		const unheard = this.#unheard.get(guestId);
		if (guest) await this.#end(guest, "it was powered off");
		else if (unheard) {
			await killProcess(unheard.process);
			// What belonged to it is cleaned up by whoever still tries to reach it: not beside the guest's next process.
			await unheard.settled;
		}
	}

	async pause(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		refuseWhileMoving(guest, "pause");
		await expectState(guest, ["running", "paused"], "pause");
		await guest.monitor.execute("stop", {}, { timeoutMs: 10_000 });
	}

	async resume(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		refuseWhileMoving(guest, "resume");
		await expectState(guest, ["running", "paused"], "resume");
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

	async forget(guestId: GuestId): Promise<void> {
		this.#refuseProcess(guestId, guestId);
		await rm(this.#paths(guestId).folder, { recursive: true, force: true });
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
		const machine = chooseMachine(await this.probe(), request.machine);
		return this.#launch(request, machine, true, (guest) => openForCopies(guest, request));
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
		this.#refuseProcess(id, name);
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

	/** A guest whose monitor hangs, or whose record cannot be read, keeps no other from being adopted. */
	async #adoptOrKeepTrying(id: GuestId, process: ProcessIdentity | undefined): Promise<ProcessReport | null> {
		if (process === undefined) return foundEnded(id, this.#paths(id));
		try {
			return await this.#adoptOne(id, process);
		} catch {
			const record = await readRecord(this.#paths(id).record);
			const report = unheardReport(id, process, record);
			this.#unheard.set(id, { process, report, settled: this.#keepTrying(id, process) });
			return report;
		}
	}

	/** Fulfilled when the process was heard, or is gone and cleaned up after. */
	async #keepTrying(id: GuestId, process: ProcessIdentity): Promise<void> {
		for (;;) {
			const gone = await waitUntilGone(process, 2000);
			if (this.#closed) return;
			const report = gone
				? ((await foundEnded(id, this.#paths(id))) ?? absentReport(id, await readRecord(this.#paths(id).record)))
				: await this.#adoptOne(id, process).catch(() => null);
			if (report === null) continue;
			this.#unheard.delete(id);
			this.#tell({ type: "stateChanged", report });
			return;
		}
	}

	/** @throws when its monitor does not answer or its record cannot be read; it is then as if nobody had tried. */
	async #adoptOne(id: GuestId, process: ProcessIdentity): Promise<ProcessReport> {
		const paths = this.#paths(id);
		const record = await readRecord(paths.record);
		if (record === null) throw new SternaError("internal", `the process of guest ${id} has no record that can be read`);
		const options = { owner: `guest ${record.spec.name}`, greetingTimeoutMs: 3000 };
		const monitor = await QmpClient.connect(paths.qmp, options).catch(() => QmpClient.connect(paths.rescue, options));
		const guest = this.#keep({ id, record, process, monitor, exit: null });
		const report = await reportOf(guest).catch((error: unknown) => {
			// The monitor serves one client at a time: the next try must not meet this one.
			this.#guests.delete(id);
			guest.serial.close();
			guest.monitor.close();
			throw error;
		});
		if (report.state === "absent") await this.#end(guest, poweredOffEnding);
		return report;
	}

	#keep(what: Pick<QemuGuest, "id" | "record" | "process" | "monitor" | "exit">): QemuGuest {
		const gone = Promise.withResolvers<void>();
		const guest = qemuGuest({ ...what, paths: this.#paths(what.id), gone: gone.promise });
		this.#guests.set(what.id, guest);
		this.#watch(guest, gone.resolve);
		return guest;
	}

	#watch(guest: QemuGuest, tellGone: () => void): void {
		guest.monitor.onEvent((event) => this.#onQmpEvent(guest, event));
		guest.monitor.onClose(() => {
			if (!this.#closed && this.#guests.get(guest.id) === guest) void this.#onMonitorLost(guest, tellGone);
		});
	}

	/** The process ended, or only its monitor did: an event flood, a restart of the connection. */
	async #onMonitorLost(guest: QemuGuest, tellGone: () => void): Promise<void> {
		while (!(await waitUntilGone(guest.process, 2000))) {
			if (this.#closed) return;
			try {
				guest.monitor = await QmpClient.connect(guest.paths.qmp, { owner: label(guest) });
			} catch {
				await delay(500);
				continue;
			}
			this.#watch(guest, tellGone);
			await this.#catchUp(guest, guest.monitor);
			return;
		}
		if (this.#closed) return;
		const crashed = guest.expectedEnding === null;
		const ending = guest.expectedEnding ?? (await howItEnded(guest));
		guest.record = { ...guest.record, ending };
		guest.serial.close();
		await cleanUp(guest.paths, guest.record);
		this.#guests.delete(guest.id);
		tellGone();
		this.#tell({ type: "stateChanged", report: absentReport(guest.id, guest.record) });
		if (crashed) this.#tell({ type: "crashed", guestId: guest.id, ending });
	}

	/** What the monitor said while nobody listened shows in the guest's state. */
	async #catchUp(guest: QemuGuest, monitor: QmpClient): Promise<void> {
		while (!monitor.closed) {
			const report = await reportOf(guest).catch(() => null);
			if (report?.state === "absent") this.#poweredOff(guest);
			else if (report) await this.#tellState(guest);
			else {
				await delay(500);
				continue;
			}
			return;
		}
	}

	/** Asks QEMU to end, which closes its images in order; kills it when it does not. */
	async #end(guest: QemuGuest, why: string): Promise<void> {
		guest.expectedEnding ??= why;
		await guest.monitor.execute("quit", {}).catch(() => undefined);
		if (!(await waitUntilGone(guest.process, 2000))) await killProcess(guest.process);
		await guest.gone;
	}

	#onQmpEvent(guest: QemuGuest, qmpEvent: QmpEvent): void {
		const event = translate(guest, qmpEvent);
		if (event === null) return;
		if (event === "askState") void this.#tellState(guest);
		else if (event.type === "poweredOff") this.#poweredOff(guest);
		else this.#tell(event);
	}

	#poweredOff(guest: QemuGuest): void {
		guest.expectedEnding ??= poweredOffEnding;
		this.#tell({ type: "poweredOff", guestId: guest.id });
		void this.#end(guest, poweredOffEnding).catch(() => undefined);
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

	#guest(guestId: GuestId): QemuGuest {
		const guest = this.#guests.get(guestId);
		if (this.#unheard.has(guestId)) throw new SternaError("unavailable", `QEMU of guest ${guestId} does not answer`);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} has no process on this host`);
		return guest;
	}

	#refuseProcess(id: GuestId, name: string): void {
		if (!this.#guests.has(id) && !this.#starting.has(id) && !this.#unheard.has(id)) return;
		throw new SternaError("conflict", `guest ${name} has a process on this host already`);
	}

	#paths(guestId: GuestId) {
		return guestPaths(this.#options.runFolder, guestId);
	}
}
