import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
import type { VolumeSeat } from "@sterna/shared/volume";
import type { HypervisorEvent, HypervisorFacts, ProcessReport, StartRequest, VolumeSource } from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import type { QmpEvent } from "../qmp/generated/schema.ts";
import { cleanUp, foundEnded, howItEnded } from "./aftermath.ts";
import { settleAttached } from "./attach.ts";
import { translate } from "./events.ts";
import { absentReport, label, poweredOffEnding, type QemuGuest, qemuGuest, reportOf, unheardReport } from "./guest.ts";
import { launch } from "./launch.ts";
import { type GuestPaths, guestPaths, openRunFolder } from "./paths.ts";
import { endInOrder, findBySocket, type ProcessIdentity, waitUntilGone } from "./process.ts";
import { readRecord } from "./record.ts";
import { Undo } from "./undo.ts";
import { settleMove } from "./volume-move.ts";

/** How long an answer waits for a process that is about to be gone. */
const inspectPatienceMs = 5000;
/** How long QEMU may take to end when it hears nothing, and when it does: closing writes what is tracked of its volumes. */
const endMs = 2000;
const closingMs = 60_000;

/** How a guest's process is to come up. */
export interface Launching {
	/** The chosen one: versioned, and known to this QEMU. */
	machine: string;
	/** A migration's target: CPUs held. */
	incoming: boolean;
	/** What volumes that are not completely here are read from. */
	sources?: readonly VolumeSource[];
	/** Volumes that do not sit where their place in the spec puts them. */
	seats: readonly VolumeSeat[];
	facts: HypervisorFacts;
}

/** The guests' processes on this host: launches and adopts them, keeps one connection to each, tells what befalls them. */
export class QemuProcesses {
	readonly #system: string;
	readonly #runFolder: string;
	readonly #guests = new Map<GuestId, QemuGuest>();
	readonly #starting = new Set<GuestId>();
	/** Guests whose process is there but whose monitor has not answered since this driver came. */
	readonly #unheard = new Map<GuestId, { process: ProcessIdentity; report: ProcessReport; settled: Promise<void> }>();
	readonly #listeners = new Set<(event: HypervisorEvent) => void>();
	#closed = false;

	constructor(options: { system: string; runFolder: string }) {
		this.#system = options.system;
		this.#runFolder = options.runFolder;
	}

	async adopt(): Promise<ProcessReport[]> {
		await openRunFolder(this.#runFolder);
		const names = await readdir(this.#runFolder);
		const ids = names
			.flatMap((name) => GuestId.safeParse(name).data ?? [])
			.filter((id) => !this.#guests.has(id) && !this.#unheard.has(id));
		const processes = await findBySocket(ids.map((id) => this.paths(id).qmp));
		const reports = await Promise.all(ids.map((id) => this.#adoptOrKeepTrying(id, processes.get(this.paths(id).qmp))));
		return reports.filter((report) => report !== null);
	}

	async inspect(guestId: GuestId): Promise<ProcessReport> {
		const guest = this.#guests.get(guestId);
		if (guest) {
			try {
				const report = await reportOf(guest);
				// Off, but QEMU still closes its volumes: until it has, they are not free and it cannot be started.
				if (report.state === "absent") await Promise.race([guest.gone, delay(inspectPatienceMs)]);
				if (this.#guests.get(guestId) === guest) return report;
			} catch (error) {
				// The process is ending, or its monitor is being connected again: one of the two is known shortly.
				if (guest.monitor.closed) await Promise.race([guest.gone, delay(inspectPatienceMs)]);
				if (this.#guests.get(guestId) === guest) throw error;
			}
		}
		return this.#unheard.get(guestId)?.report ?? absentReport(guestId, await readRecord(this.paths(guestId).record));
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/**
	 * Starts a guest's process, keeps it, and has `complete` make it ready; when that fails nothing is left of it.
	 * @throws {SternaError} `conflict` when there is one; what `launch` and `complete` throw.
	 */
	async launch<Result>(
		request: StartRequest,
		{ machine, incoming, seats, sources = [], facts }: Launching,
		complete: (guest: QemuGuest) => Promise<Result>,
	): Promise<Result> {
		const { id, name } = request.spec;
		this.refuseProcess(id, name);
		this.#starting.add(id);
		const undo = new Undo();
		try {
			const accelerator = facts.probe.accelerator === "kvm" ? "kvm" : "tcg";
			const [system, runFolder] = [this.#system, this.#runFolder];
			const launched = await launch(
				{ request, system, runFolder, machine, accelerator, incoming, seats, sources },
				undo,
			);
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

	/** Ends the process and waits until it is gone. None: no change. */
	async powerOff(guestId: GuestId): Promise<void> {
		const guest = this.#guests.get(guestId);
		const unheard = this.#unheard.get(guestId);
		if (guest) await this.#end(guest, "it was powered off");
		else if (unheard) {
			await endInOrder(unheard.process, endMs);
			// What belonged to it is cleaned up by whoever still tries to reach it: not beside the guest's next process.
			await unheard.settled;
		}
	}

	/** @throws {SternaError} `not_found`; `unavailable` when its monitor has not answered since this driver came. */
	get(guestId: GuestId): QemuGuest {
		const guest = this.find(guestId);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} has no process on this host`);
		return guest;
	}

	/**
	 * The guest's process; null when there is none, so that its files are nobody's.
	 * @throws {SternaError} `unavailable` when its monitor has not answered since this driver came; `conflict` while it is being started.
	 */
	find(guestId: GuestId): QemuGuest | null {
		const guest = this.#guests.get(guestId);
		if (guest) return guest;
		if (this.#unheard.has(guestId)) throw new SternaError("unavailable", `QEMU of guest ${guestId} does not answer`);
		if (this.#starting.has(guestId)) throw new SternaError("conflict", `guest ${guestId} is being started`);
		return null;
	}

	/** @throws {SternaError} `conflict` while the guest has a process or is given one. */
	refuseProcess(id: GuestId, name: string): void {
		if (!this.#guests.has(id) && !this.#starting.has(id) && !this.#unheard.has(id)) return;
		throw new SternaError("conflict", `guest ${name} has a process on this host already`);
	}

	paths(guestId: GuestId): GuestPaths {
		return guestPaths(this.#runFolder, guestId);
	}

	close(): void {
		this.#closed = true;
		for (const guest of this.#guests.values()) {
			guest.serial.close();
			guest.monitor.close();
		}
		this.#guests.clear();
		this.#listeners.clear();
	}

	/** A guest whose monitor hangs, or whose record cannot be read, keeps no other from being adopted. */
	async #adoptOrKeepTrying(id: GuestId, process: ProcessIdentity | undefined): Promise<ProcessReport | null> {
		if (process === undefined) return foundEnded(id, this.paths(id));
		try {
			return await this.#adoptOne(id, process);
		} catch {
			const record = await readRecord(this.paths(id).record);
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
				? ((await foundEnded(id, this.paths(id))) ?? absentReport(id, await readRecord(this.paths(id).record)))
				: await this.#adoptOne(id, process).catch(() => null);
			if (report === null) continue;
			this.#unheard.delete(id);
			this.#tell({ type: "stateChanged", report });
			return;
		}
	}

	/** @throws when its monitor does not answer or its record cannot be read; it is then as if nobody had tried. */
	async #adoptOne(id: GuestId, process: ProcessIdentity): Promise<ProcessReport> {
		const paths = this.paths(id);
		const record = await readRecord(paths.record);
		if (record === null) throw new SternaError("internal", `the process of guest ${id} has no record that can be read`);
		const options = { owner: `guest ${record.spec.name}`, greetingTimeoutMs: 3000 };
		const monitor = await QmpClient.connect(paths.qmp, options).catch(() => QmpClient.connect(paths.rescue, options));
		const guest = this.#keep({ id, record, process, monitor, exit: null });
		// A volume's move that cannot be settled now, because a disk hangs, is when it is asked for again.
		const settled = settleAttached(guest).then(() => settleMove(guest).catch(() => undefined));
		const report = await settled
			.then(() => reportOf(guest))
			.catch((error: unknown) => {
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
		const guest = qemuGuest({ ...what, paths: this.paths(what.id), gone: gone.promise });
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

	/**
	 * Has QEMU end, which closes its images in order; kills it when it does not within its time. One that still answers gets
	 * the time to close on a busy disk: killed, it would leave volumes of which nobody knows what changed.
	 */
	async #end(guest: QemuGuest, why: string): Promise<void> {
		guest.expectedEnding ??= why;
		const answers = await guest.monitor.execute("query-status", {}).then(
			() => true,
			() => false,
		);
		// One that the guest turned off is silent because it flushes: it stops, and only then answers again.
		const isClosing = answers || guest.expectedEnding === poweredOffEnding;
		await endInOrder(guest.process, isClosing ? closingMs : endMs);
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
		// Held for a moment by the driver itself: not a pause that anybody asked for.
		if (guest.record.moving?.heldFrom) return;
		if (report === null || report.state === "absent" || report.state === guest.toldState) return;
		guest.toldState = report.state;
		this.#tell({ type: "stateChanged", report });
	}

	#tell(event: HypervisorEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}
}
