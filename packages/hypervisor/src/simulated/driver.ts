import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
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
import { countedUp, serialLines } from "./clock.ts";
import { Faults } from "./faults.ts";
import { SimulatedMove } from "./move.ts";
import { readJsonFile, SimulatedGuest, SimulatedVolume, writeJsonFile } from "./record.ts";
import { serveDisk, serveMemory } from "./target.ts";
import { listen } from "./wire.ts";

export interface SimulatedOptions {
	/** Folder of the guests' files; short, because sockets are made in it. */
	runFolder: string;
	/** How often a guest counts. */
	tickMs?: number;
	/** The virtual link, and what guests rewrite on it; in `copyMemory` one step takes `stepMs` of real time. */
	linkBytesPerSecond?: number;
	dirtyBytesPerSecond?: number;
	stepMs?: number;
	/** How long the source waits for the target's receipt. */
	answerMs?: number;
	qemuVersion?: string;
}

const machine = "pc-q35-10.0";

/**
 * Guests without QEMU, for scale and fault tests. Each is a file and counts by the clock, printing each count on its
 * serial line: it outlives the driver, and moves over real sockets. It echoes `>x` for a byte x, turns off at `q` or
 * the power button, and restarts at `r`.
 */
export class SimulatedHypervisor implements Hypervisor {
	readonly faults = new Faults();
	readonly #options: Required<SimulatedOptions>;
	readonly #guests = new Map<GuestId, SimulatedGuest>();
	readonly #moves = new Map<GuestId, SimulatedMove>();
	readonly #servers = new Map<GuestId, Server[]>();
	readonly #printed = new Map<GuestId, number>();
	readonly #listeners = new Set<(event: HypervisorEvent) => void>();
	readonly #timer: NodeJS.Timeout;
	#queue: Promise<unknown> = Promise.resolve();

	constructor(options: SimulatedOptions) {
		const gigabyte = 1024 ** 3;
		const defaults = {
			tickMs: 1000,
			linkBytesPerSecond: gigabyte,
			dirtyBytesPerSecond: 0,
			stepMs: 10,
			answerMs: 5000,
			qemuVersion: "10.0.0",
		};
		this.#options = { ...defaults, ...options };
		this.#timer = setInterval(() => void this.#tick(), this.#options.tickMs);
		this.#timer.unref();
	}

	async probe(): Promise<HypervisorFacts> {
		const probe = { accelerator: "simulated" as const, reason: "this host simulates its guests" };
		return { qemuVersion: this.#options.qemuVersion, machineTypes: [machine], probe, simulated: true };
	}

	async adopt(): Promise<ProcessReport[]> {
		await mkdir(this.#options.runFolder, { recursive: true });
		const names = await readdir(this.#options.runFolder);
		const reports: ProcessReport[] = [];
		for (const id of names.flatMap((name) => GuestId.safeParse(name).data ?? [])) {
			if (this.#guests.has(id)) continue;
			const guest = await readJsonFile(this.#file(id), SimulatedGuest);
			if (guest === null || guest.state === "ended") continue;
			this.#guests.set(id, guest);
			this.#printed.set(id, await this.#lastPrinted(id, guest.count));
			if (guest.state === "loading") await this.#openForCopies(guest);
			await this.#print(id);
			reports.push(this.#report(guest));
		}
		return reports;
	}

	async inspect(guestId: GuestId): Promise<ProcessReport> {
		const guest = this.#guests.get(guestId) ?? (await readJsonFile(this.#file(guestId), SimulatedGuest));
		return guest ? this.#report(guest) : absent(guestId, null);
	}

	onEvent(listener: (event: HypervisorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	start(request: StartRequest): Promise<ProcessReport> {
		return this.faults.around("start", async () => this.#report(await this.#create(request, "running", [])));
	}

	async shutDown(guestId: GuestId): Promise<void> {
		const guest = this.#guest(guestId);
		expect(guest, ["running"], "shut down");
		setTimeout(() => void this.#powerOffByItself(guestId), this.#options.tickMs);
	}

	powerOff(guestId: GuestId): Promise<void> {
		return this.faults.around("powerOff", async () => {
			if (this.#guests.has(guestId)) await this.#end(guestId, "it was powered off");
		});
	}

	/** As if the guest's process had been killed from outside. */
	async crash(guestId: GuestId): Promise<void> {
		const ending = "killed by SIGKILL";
		await this.#end(guestId, ending);
		this.#tell({ type: "crashed", guestId, ending });
	}

	async pause(guestId: GuestId): Promise<void> {
		expect(this.#guest(guestId), ["running", "paused"], "pause");
		await this.#set(guestId, { state: "paused" });
	}

	async resume(guestId: GuestId): Promise<void> {
		expect(this.#guest(guestId), ["running", "paused"], "resume");
		await this.#set(guestId, { state: "running" });
	}

	async stats(guestId: GuestId): Promise<GuestStats> {
		const { spec, count } = countedUp(this.#guest(guestId), Date.now(), this.#options.tickMs);
		return {
			cpuTimeMs: count * 5,
			memoryResidentBytes: Math.floor(spec.memoryBytes / 2),
			diskReadBytes: count * 512,
			diskWriteBytes: count * 512,
			networkReceiveBytes: count * 64,
			networkTransmitBytes: count * 64,
		};
	}

	serialLogPath(guestId: GuestId): string {
		return join(this.#options.runFolder, guestId, "serial.log");
	}

	async serialWrite(guestId: GuestId, data: Uint8Array): Promise<void> {
		expect(this.#guest(guestId), ["running", "paused"], "write to");
		for (const byte of data) {
			const char = String.fromCharCode(byte);
			if (char === "q") await this.#powerOffByItself(guestId);
			else if (char === "r") this.#tell({ type: "rebooted", guestId });
			else await appendFile(this.serialLogPath(guestId), `>${char}\n`);
		}
	}

	createVolume(request: CreateVolume): Promise<void> {
		return this.faults.around("createVolume", async () => {
			const present = await this.inspectVolume(request);
			if (present.exists && present.sizeBytes !== request.sizeBytes) {
				throw new SternaError("conflict", `the volume ${request.volumeId} is there already, with another size`);
			}
			if (!present.exists) await writeJsonFile(request.path, { simulatedVolumeBytes: request.sizeBytes, count: 0 });
		});
	}

	async deleteVolume({ path }: VolumeLocation): Promise<void> {
		await rm(path, { force: true });
	}

	async inspectVolume({ path }: VolumeLocation): Promise<VolumeReport> {
		const volume = await readJsonFile(path, SimulatedVolume);
		if (volume === null) return { exists: false, sizeBytes: 0, allocatedBytes: 0 };
		return { exists: true, sizeBytes: volume.simulatedVolumeBytes, allocatedBytes: volume.count * 512 };
	}

	accept(request: AcceptRequest): Promise<AcceptedGuest> {
		return this.faults.around("accept", async () => {
			if (request.machine !== machine) {
				throw new SternaError("incompatible", `this host does not know the machine ${request.machine}`);
			}
			return this.#openForCopies(await this.#create(request, "loading", request.copiedVolumes));
		});
	}

	isLoaded(guestId: GuestId): Promise<boolean> {
		return this.faults.around("isLoaded", async () => {
			const { state } = this.#guest(guestId);
			return state === "loaded" || state === "running";
		});
	}

	release(guestId: GuestId): Promise<{ resumedAt: number }> {
		return this.faults.around("release", async () => {
			const guest = this.#guest(guestId);
			expect(guest, ["loaded", "running"], "release");
			if (guest.state === "loaded") {
				this.#closeServers(guestId);
				await this.#set(guestId, { state: "running" });
			}
			return { resumedAt: Date.now() };
		});
	}

	copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void> {
		return this.faults.around("copyDisks", () => this.#move(request.guestId).copyDisks(request, signal));
	}

	copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }> {
		return this.faults.around("copyMemory", async () => {
			expect(this.#guest(request.guestId), ["running"], "move");
			await this.#move(request.guestId).copyMemory(request, signal);
			await this.#set(request.guestId, { state: "paused" });
			return { pausedAt: Date.now() };
		});
	}

	switchOver(guestId: GuestId, signal: AbortSignal): Promise<void> {
		return this.faults.around("switchOver", async () => {
			const guest = this.#guest(guestId);
			expect(guest, ["paused"], "switch over");
			await this.#move(guestId).switchOver(guest.count, signal);
			await this.#set(guestId, { state: "handedOver" });
		});
	}

	cancelMigration(guestId: GuestId): Promise<void> {
		return this.faults.around("cancelMigration", async () => {
			const guest = this.#guest(guestId);
			this.#endMove(guestId);
			if (guest.state !== "running") await this.#set(guestId, { state: "running" });
		});
	}

	async close(): Promise<void> {
		clearInterval(this.#timer);
		for (const guestId of this.#guests.keys()) {
			this.#endMove(guestId);
			this.#closeServers(guestId);
		}
		await this.#tick();
		this.#guests.clear();
		this.#listeners.clear();
	}

	async #create(request: StartRequest, state: "running" | "loading", copiedVolumes: SimulatedGuest["copiedVolumes"]) {
		const { spec } = request;
		const id = spec.id;
		const earlier = this.#guests.get(id) ?? (await readJsonFile(this.#file(id), SimulatedGuest));
		if (earlier && earlier.state !== "ended") {
			throw new SternaError("conflict", `guest ${spec.name} has a process on this host already`);
		}
		for (const volume of request.volumes) {
			if ((await this.inspectVolume(volume)).exists) continue;
			throw new SternaError("not_found", `the volume ${volume.volumeId} of guest ${spec.name} is not there`);
		}
		const volumes = request.volumes.map(({ volumeId, path }) => ({ volumeId, path }));
		const now = Date.now();
		await mkdir(join(this.#options.runFolder, id), { recursive: true });
		await writeFile(this.serialLogPath(id), "", { flag: "a" });
		const times = { count: 0, countedAt: now, startedAt: now };
		const guest = { spec, machine: spec.machine ?? machine, volumes, state, ...times, copiedVolumes, ending: null };
		await writeJsonFile(this.#file(id), guest);
		this.#guests.set(id, guest);
		this.#printed.set(id, 0);
		this.#tell({ type: "stateChanged", report: this.#report(guest) });
		return guest;
	}

	async #openForCopies(guest: SimulatedGuest): Promise<AcceptedGuest> {
		const { id } = guest.spec;
		const [memorySocket, diskSocket] = ["memory", "disk"].map((name) => join(this.#options.runFolder, id, name));
		if (memorySocket === undefined || diskSocket === undefined) throw new SternaError("internal", "no sockets");
		for (const path of [memorySocket, diskSocket]) await rm(path, { force: true });
		const onLoaded = async (count: number) => {
			this.#printed.set(id, count);
			await this.#set(id, { state: "loaded", count });
		};
		const servers = [await listen(memorySocket, (connection) => serveMemory(connection, id, onLoaded))];
		if (guest.copiedVolumes.length > 0) {
			servers.push(await listen(diskSocket, (connection) => serveDisk(connection, guest)));
		}
		this.#servers.set(id, servers);
		return { memorySocket, diskSocket: guest.copiedVolumes.length > 0 ? diskSocket : null };
	}

	/** Counts up to now and changes the guest, its file and its volumes; the listeners hear of another state. */
	async #set(guestId: GuestId, change: Partial<SimulatedGuest>): Promise<void> {
		await this.#print(guestId);
		const before = this.#guest(guestId);
		const counted = countedUp(before, Date.now(), this.#options.tickMs);
		const guest = { ...counted, countedAt: before.state === "running" ? counted.countedAt : Date.now(), ...change };
		this.#guests.set(guestId, guest);
		// A target's volumes are written by the copy, not by a guest that has not run yet.
		if (before.state === "running") await this.#writeVolumes(guest);
		await writeJsonFile(this.#file(guestId), guest);
		if (guest.state !== before.state) this.#tell({ type: "stateChanged", report: this.#report(guest) });
	}

	async #writeVolumes(guest: SimulatedGuest): Promise<void> {
		for (const { path } of guest.volumes) {
			const volume = await readJsonFile(path, SimulatedVolume);
			if (volume) await writeJsonFile(path, { ...volume, count: guest.count });
		}
	}

	async #powerOffByItself(guestId: GuestId): Promise<void> {
		if (!this.#guests.has(guestId)) return;
		await this.#end(guestId, "the guest powered off");
		this.#tell({ type: "poweredOff", guestId });
	}

	async #end(guestId: GuestId, ending: string): Promise<void> {
		this.#endMove(guestId);
		this.#closeServers(guestId);
		await this.#set(guestId, { state: "ended", ending });
		this.#guests.delete(guestId);
	}

	#move(guestId: GuestId): SimulatedMove {
		const guest = this.#guest(guestId);
		const present = this.#moves.get(guestId);
		if (present) return present;
		const readCount = () => countedUp(this.#guest(guestId), Date.now(), this.#options.tickMs).count;
		const move = new SimulatedMove({ spec: guest.spec, readCount, rates: this.#options });
		this.#moves.set(guestId, move);
		return move;
	}

	#endMove(guestId: GuestId): void {
		this.#moves.get(guestId)?.close();
		this.#moves.delete(guestId);
	}

	#closeServers(guestId: GuestId): void {
		for (const server of this.#servers.get(guestId) ?? []) server.close();
		this.#servers.delete(guestId);
	}

	/** Prints, for every guest, what it counted meanwhile. */
	async #tick(): Promise<void> {
		for (const guestId of [...this.#guests.keys()]) await this.#print(guestId);
	}

	/** One after the other: two at once would print the same lines. */
	#print(guestId: GuestId): Promise<void> {
		const turn = this.#queue.then(async () => {
			const guest = this.#guests.get(guestId);
			if (!guest) return;
			const { count } = countedUp(guest, Date.now(), this.#options.tickMs);
			const printed = this.#printed.get(guestId) ?? 0;
			if (count <= printed) return;
			this.#printed.set(guestId, count);
			await appendFile(this.serialLogPath(guestId), serialLines(printed, count));
		});
		this.#queue = turn.catch(() => undefined);
		return turn;
	}

	/** Where the serial log of an earlier life ends; `otherwise` when it does not say. */
	async #lastPrinted(guestId: GuestId, otherwise: number): Promise<number> {
		const text = await readFile(this.serialLogPath(guestId), "utf8").catch(() => "");
		const last = text.split("\n").findLast((line) => /^[0-9a-f]{8}$/.test(line));
		return last === undefined ? otherwise : Number.parseInt(last, 16);
	}

	#report(guest: SimulatedGuest): ProcessReport {
		const { spec, state, ending } = guest;
		if (state === "ended") return absent(spec.id, guest.machine, ending);
		return { guestId: spec.id, state, pid: null, accelerator: "simulated", machine: guest.machine, ending: null };
	}

	#tell(event: HypervisorEvent): void {
		for (const listener of [...this.#listeners]) listener(event);
	}

	#guest(guestId: GuestId): SimulatedGuest {
		const guest = this.#guests.get(guestId);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} has no process on this host`);
		return guest;
	}

	#file(guestId: GuestId): string {
		return join(this.#options.runFolder, guestId, "guest.json");
	}
}

function absent(guestId: GuestId, machineName: string | null, ending: string | null = null): ProcessReport {
	return { guestId, state: "absent", pid: null, accelerator: null, machine: machineName, ending };
}

function expect(guest: SimulatedGuest, states: SimulatedGuest["state"][], verb: string): void {
	if (states.includes(guest.state)) return;
	throw new SternaError("wrong_state", `cannot ${verb} guest ${guest.spec.name}: it is ${guest.state}`);
}
