import { appendFile } from "node:fs/promises";
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
import { Faults } from "./faults.ts";
import { SimulatedFill } from "./fill.ts";
import { SimulatedGuests } from "./guests.ts";
import { SimulatedMoves } from "./moves.ts";
import { completeOptions, type SimulatedOptions } from "./options.ts";
import { newGuest, type SimulatedGuest } from "./record.ts";
import { absent, expectState, report, statsOf } from "./report.ts";
import { blackPixel } from "./screen.ts";
import { SimulatedSnapshots } from "./snapshots.ts";
import { CopyDoors } from "./target.ts";
import { SimulatedVolumes } from "./volumes.ts";

const machine = "pc-q35-10.0";

/**
 * Guests without QEMU, for scale and fault tests. Each is a file and counts by the clock, printing each count on its
 * serial line: it outlives the driver, and moves over real sockets. It echoes `>x` for a byte x, turns off at `q` or
 * the power button, and restarts at `r`. What its verbs do is in the files beside it.
 */
export class SimulatedHypervisor implements Hypervisor {
	readonly faults = new Faults();
	/** Guests in which an agent answers; a test says which. */
	readonly guestAgents = new Set<GuestId>();
	readonly #options: Required<SimulatedOptions>;
	readonly #guests: SimulatedGuests;
	readonly #volumes: SimulatedVolumes;
	readonly #snapshots: SimulatedSnapshots;
	readonly #fill = new SimulatedFill();
	readonly #starting = new Set<GuestId>();
	readonly #moves: SimulatedMoves;
	readonly #doors: CopyDoors;
	readonly #listeners = new Set<(event: HypervisorEvent) => void>();
	readonly #timer: NodeJS.Timeout;

	constructor(options: SimulatedOptions) {
		this.#options = completeOptions(options);
		this.#guests = new SimulatedGuests(options.runFolder, this.#options.tickMs);
		this.#moves = new SimulatedMoves(this.#guests, this.#options);
		this.#doors = new CopyDoors(options.runFolder);
		this.#volumes = new SimulatedVolumes(this.#guests);
		this.#snapshots = new SimulatedSnapshots(options.runFolder, this.#guests);
		this.#timer = setInterval(() => void this.#tick(), this.#options.tickMs);
		this.#timer.unref();
	}

	async probe(): Promise<HypervisorFacts> {
		const probe = { accelerator: "simulated" as const, reason: "this host simulates its guests" };
		return { qemuVersion: this.#options.qemuVersion, machineTypes: [machine], probe, simulated: true };
	}

	async adopt(): Promise<ProcessReport[]> {
		const guests = await this.#guests.adopt();
		for (const guest of guests) if (guest.state === "loading") await this.#openForCopies(guest);
		await this.#snapshots.adopt();
		return guests.map(report);
	}

	async inspect(guestId: GuestId): Promise<ProcessReport> {
		const guest = await this.#guests.find(guestId);
		return guest ? report(guest) : absent(guestId, null);
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async start(request: StartRequest): Promise<ProcessReport> {
		return this.faults.around("start", async () =>
			report(await this.#create(request, { state: "running", copiedVolumes: [], seats: [] })),
		);
	}

	async shutDown(guestId: GuestId): Promise<void> {
		const guest = this.#guests.get(guestId);
		expectState(guest, ["running"], "shut down");
		setTimeout(() => void this.#powerOffByItself(guestId), this.#options.tickMs);
	}

	async powerOff(guestId: GuestId): Promise<void> {
		return this.faults.around("powerOff", async () => {
			if (this.#guests.has(guestId)) await this.#end(guestId, "it was powered off");
		});
	}

	/** As if the guest's process had been killed from outside. */
	async crash(guestId: GuestId): Promise<void> {
		const ending = "killed by SIGKILL";
		await this.#end(guestId, ending, true);
		this.#tell({ type: "crashed", guestId, ending });
	}

	/** As if the file of a guest's volume had given an error. */
	failDisk(error: Omit<Extract<HypervisorEvent, { type: "diskError" }>, "type">): void {
		this.#tell({ type: "diskError", ...error });
	}

	async pause(guestId: GuestId): Promise<void> {
		this.#moves.refuseWhileUnderWay(guestId, "pause");
		expectState(this.#guests.get(guestId), ["running", "paused"], "pause");
		await this.#set(guestId, { state: "paused" });
	}

	async resume(guestId: GuestId): Promise<void> {
		this.#moves.refuseWhileUnderWay(guestId, "resume");
		expectState(this.#guests.get(guestId), ["running", "paused"], "resume");
		await this.#set(guestId, { state: "running" });
	}

	async stats(guestId: GuestId): Promise<GuestStats> {
		return statsOf(this.#guests.get(guestId).spec, this.#guests.count(guestId));
	}

	serialLogPath(guestId: GuestId): string {
		return this.#guests.serialLogPath(guestId);
	}

	async serialWrite(guestId: GuestId, data: Uint8Array): Promise<void> {
		expectState(this.#guests.get(guestId), ["running", "paused"], "write to");
		for (const byte of data) {
			const char = String.fromCharCode(byte);
			if (char === "q") await this.#powerOffByItself(guestId);
			else if (char === "r") this.#tell({ type: "rebooted", guestId });
			else await appendFile(this.serialLogPath(guestId), `>${char}\n`);
		}
	}

	async forget(guestId: GuestId): Promise<void> {
		if (this.#guests.has(guestId) || this.#starting.has(guestId)) {
			throw new SternaError("conflict", `guest ${guestId} has a process on this host already`);
		}
		await this.#guests.removeFiles(guestId);
	}

	async createVolume(request: CreateVolume): Promise<void> {
		return this.faults.around("createVolume", () => this.#volumes.create(request));
	}

	deleteVolume(location: VolumeLocation): Promise<void> {
		return this.#volumes.delete(location);
	}

	inspectVolume(location: VolumeLocation): Promise<VolumeReport> {
		return this.#volumes.inspect(location);
	}

	holdsData(location: VolumeLocation): Promise<boolean> {
		return this.#volumes.holdsData(location);
	}

	async accept(request: AcceptRequest): Promise<AcceptedGuest> {
		return this.faults.around("accept", async () => {
			if (request.machine !== machine) {
				throw new SternaError("incompatible", `this host does not know the machine ${request.machine}`);
			}
			const { copiedVolumes, seats } = request;
			return this.#openForCopies(await this.#create(request, { state: "loading", copiedVolumes, seats: [...seats] }));
		});
	}

	async isLoaded(guestId: GuestId): Promise<boolean> {
		return this.faults.around("isLoaded", async () => {
			const { state } = this.#guests.get(guestId);
			return state === "loaded" || state === "running";
		});
	}

	async release(guestId: GuestId): Promise<{ resumedAt: number }> {
		return this.faults.around("release", async () => {
			const guest = this.#guests.get(guestId);
			expectState(guest, ["loaded", "running"], "release");
			if (guest.state === "loaded") {
				this.#doors.close(guestId);
				await this.#set(guestId, { state: "running" });
			}
			return { resumedAt: Date.now() };
		});
	}

	async copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void> {
		return this.faults.around("copyDisks", () => this.#moves.of(request.guestId).copyDisks(request, signal));
	}

	async copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }> {
		return this.faults.around("copyMemory", async () => {
			expectState(this.#guests.get(request.guestId), ["running"], "move");
			await this.#moves.of(request.guestId).copyMemory(request, signal);
			await this.#set(request.guestId, { state: "paused" });
			return { pausedAt: Date.now() };
		});
	}

	async switchOver(guestId: GuestId, signal: AbortSignal): Promise<void> {
		return this.faults.around("switchOver", async () => {
			const guest = this.#guests.get(guestId);
			expectState(guest, ["paused"], "switch over");
			await this.#moves.of(guestId).switchOver(guest.count, signal);
			await this.#set(guestId, { state: "handedOver" });
		});
	}

	async cancelMigration(guestId: GuestId): Promise<void> {
		return this.faults.around("cancelMigration", async () => {
			const guest = this.#guests.get(guestId);
			this.#moves.end(guestId);
			if (guest.state !== "running") await this.#set(guestId, { state: "running" });
		});
	}

	growVolume(request: GrowVolume): Promise<void> {
		return this.faults.around("growVolume", () => this.#volumes.grow(request));
	}

	attachVolume(guestId: GuestId, location: VolumeLocation): Promise<void> {
		return this.faults.around("attachVolume", () => this.#volumes.attach(guestId, location));
	}

	moveVolume(request: MoveVolume, signal: AbortSignal): Promise<void> {
		return this.faults.around("moveVolume", () => this.#volumes.move(request, signal));
	}

	async isGuestAgentAlive(guestId: GuestId, _timeoutMs: number): Promise<boolean> {
		return this.#guests.get(guestId).state === "running" && this.guestAgents.has(guestId);
	}

	async screenshot(guestId: GuestId): Promise<Uint8Array> {
		this.#guests.get(guestId);
		return blackPixel;
	}

	changeTracking(guestId: GuestId, volumes: readonly VolumeLocation[]): Promise<VolumeTracking[]> {
		return this.#snapshots.changeTracking(guestId, volumes);
	}

	takeSnapshot(request: TakeSnapshot): Promise<SnapshotReport> {
		return this.faults.around("takeSnapshot", () => this.#snapshots.takeSnapshot(request));
	}

	isSnapshotWhole(guestId: GuestId): Promise<boolean> {
		return this.#snapshots.isSnapshotWhole(guestId);
	}

	endSnapshot(request: EndSnapshot): Promise<void> {
		return this.faults.around("endSnapshot", () => this.#snapshots.endSnapshot(request));
	}

	startFrom(request: StartRequest, sources: readonly VolumeSource[]): Promise<ProcessReport> {
		return this.faults.around("startFrom", async () => {
			await this.#fill.begin(request, sources);
			return report(await this.#create(request, { state: "running", copiedVolumes: [], seats: [] }, true));
		});
	}

	fillVolumes(guestId: GuestId, onProgress: (progress: DiskProgress) => void, signal: AbortSignal): Promise<void> {
		return this.faults.around("fillVolumes", () =>
			this.#fill.fill(guestId, this.#guests.get(guestId).volumes, onProgress, signal),
		);
	}

	async close(): Promise<void> {
		clearInterval(this.#timer);
		for (const guestId of this.#guests.ids()) {
			this.#moves.end(guestId);
			this.#doors.close(guestId);
		}
		await this.#snapshots.close();
		await this.#tick();
		this.#guests.clear();
		this.#listeners.clear();
	}

	async #create(
		request: StartRequest,
		how: Pick<SimulatedGuest, "state" | "copiedVolumes" | "seats">,
		isFilled = false,
	) {
		const { id, name } = request.spec;
		if (this.#starting.has(id)) throw new SternaError("conflict", `guest ${name} is being started already`);
		this.#starting.add(id);
		try {
			const earlier = await this.#guests.find(id);
			if (earlier && earlier.state !== "ended") {
				throw new SternaError("conflict", `guest ${name} has a process on this host already`);
			}
			await this.#snapshots.refuseStart(id);
			if (!isFilled) await this.#volumes.expectAll(request);
			const guest = newGuest(request, { machine: request.spec.machine ?? machine, ...how });
			await this.faults.around("launch", () => this.#guests.add(guest));
			this.#tell({ type: "stateChanged", report: report(guest) });
			return guest;
		} finally {
			this.#starting.delete(id);
		}
	}

	#openForCopies(guest: SimulatedGuest): Promise<AcceptedGuest> {
		const { id } = guest.spec;
		return this.#doors.open(guest, (count) => this.#set(id, { state: "loaded", count }));
	}

	/** The listeners hear of another state. */
	async #set(...[guestId, change, inTurn]: Parameters<SimulatedGuests["change"]>): Promise<void> {
		const { before, after } = await this.#guests.change(guestId, change, inTurn);
		if (after.state !== before.state) this.#tell({ type: "stateChanged", report: report(after) });
	}

	async #powerOffByItself(guestId: GuestId): Promise<void> {
		if (!this.#guests.has(guestId)) return;
		await this.#end(guestId, "the guest powered off");
		this.#tell({ type: "poweredOff", guestId });
	}

	async #end(guestId: GuestId, ending: string, killed = false): Promise<void> {
		this.#moves.end(guestId);
		this.#doors.close(guestId);
		const onEnd = ({ volumes }: SimulatedGuest) => this.#snapshots.onEnd(guestId, volumes, killed);
		await this.#set(guestId, { state: "ended", ending }, onEnd);
		this.#guests.forget(guestId);
	}

	/** Prints, for every guest, what it counted meanwhile. */
	async #tick(): Promise<void> {
		for (const guestId of this.#guests.ids()) await this.#guests.print(guestId);
	}

	#tell(event: HypervisorEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}
}
