import { rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId, VolumeId } from "@sterna/shared/ids";
import { sparePortCount } from "@sterna/shared/volume";
import type {
	CreateVolume,
	GrowVolume,
	MoveVolume,
	StartRequest,
	VolumeLocation,
	VolumeReport,
} from "../hypervisor.ts";
import { notCompletelyHere } from "../qemu/fill-mark.ts";
import type { SimulatedGuests } from "./guests.ts";
import { readJsonFile, SimulatedVolume, writeJsonFile } from "./record.ts";
import { expectState } from "./report.ts";

/** Volumes without content: files that say their size and the count that a guest wrote last. */
export class SimulatedVolumes {
	readonly #guests: SimulatedGuests;

	constructor(guests: SimulatedGuests) {
		this.#guests = guests;
	}

	async create(request: CreateVolume): Promise<void> {
		const present = await this.inspect(request);
		if (present.exists && present.sizeBytes !== request.sizeBytes) {
			throw new SternaError("conflict", `the volume ${request.volumeId} is there already, with another size`);
		}
		if (!present.exists) await writeJsonFile(request.path, { simulatedVolumeBytes: request.sizeBytes, count: 0 });
	}

	async delete({ path }: VolumeLocation): Promise<void> {
		await rm(path, { force: true });
	}

	async inspect({ volumeId, path }: VolumeLocation): Promise<VolumeReport> {
		const volume = await readJsonFile(path, SimulatedVolume);
		if (volume === null) return { exists: false, sizeBytes: 0, allocatedBytes: 0 };
		if (volume.incomplete) throw notCompletelyHere(volumeId);
		return { exists: true, sizeBytes: volume.simulatedVolumeBytes, allocatedBytes: volume.count * 512 };
	}

	async holdsData({ volumeId, path }: VolumeLocation): Promise<boolean> {
		const isUsed = (id: GuestId) => this.#guests.get(id).volumes.some((volume) => volume.path === path);
		if (this.#guests.ids().some(isUsed)) throw new SternaError("conflict", `the volume ${volumeId} is in use`);
		const { count, filled } = await this.#read({ volumeId, path });
		return filled || count > 0;
	}

	/** @throws {SternaError} `not_found` when a volume of the guest is not there. */
	async expectAll({ spec, volumes }: StartRequest): Promise<void> {
		for (const volume of volumes) {
			if ((await this.inspect(volume)).exists) continue;
			throw new SternaError("not_found", `the volume ${volume.volumeId} of guest ${spec.name} is not there`);
		}
	}

	async grow({ volumeId, path, sizeBytes }: GrowVolume): Promise<void> {
		const volume = await this.#read({ volumeId, path });
		if (sizeBytes < volume.simulatedVolumeBytes) {
			throw new SternaError("invalid", `the volume ${volumeId} cannot shrink to ${sizeBytes} bytes`);
		}
		await writeJsonFile(path, { ...volume, simulatedVolumeBytes: sizeBytes });
	}

	async attach(guestId: GuestId, location: VolumeLocation): Promise<void> {
		if (!this.#guests.has(guestId)) return;
		const guest = this.#guests.get(guestId);
		const { volumeId, path } = location;
		if (guest.volumes.some((volume) => volume.volumeId === volumeId)) return;
		expectState(guest, ["running", "paused"], "attach a volume to");
		const ports = Array.from({ length: sparePortCount }, (_, port) => port);
		const port = ports.find((free) => guest.seats.every((seat) => seat.port !== free));
		if (port === undefined) {
			throw new SternaError("no_capacity", `guest ${guest.spec.name} has no spare port left`, {
				cure: "shut the guest down and start it again",
			});
		}
		await this.#read(location);
		await this.#guests.change(guestId, {
			volumes: [...guest.volumes, { volumeId, path }],
			seats: [...guest.seats, { volumeId, port, moves: 0 }],
		});
	}

	async move({ guestId, volumeId, from, to, onProgress }: MoveVolume, signal: AbortSignal): Promise<void> {
		const hasProcess = this.#guests.has(guestId);
		const isUsed = hasProcess && this.#guests.get(guestId).volumes.some(({ path }) => path === to);
		const isThere = (await this.inspect({ volumeId, path: to })).exists;
		if (isUsed) return rm(from, { force: true });
		if (isThere && !(await this.inspect({ volumeId, path: from })).exists) return;
		const volume = await this.#read({ volumeId, path: from });
		const totalBytes = volume.simulatedVolumeBytes;
		try {
			if (signal.aborted) throw new SternaError("cancelled", `moving the volume ${volumeId} was cancelled`);
			await writeJsonFile(to, volume);
			onProgress({ totalBytes, transferredBytes: 0 });
			if (signal.aborted) throw new SternaError("cancelled", `moving the volume ${volumeId} was cancelled`);
			if (hasProcess) await this.#seatAnew(guestId, { volumeId, path: to });
		} catch (error) {
			await rm(to, { force: true });
			throw error;
		}
		await rm(from, { force: true });
		onProgress({ totalBytes, transferredBytes: totalBytes });
	}

	async #seatAnew(guestId: GuestId, { volumeId, path }: VolumeLocation): Promise<void> {
		const guest = this.#guests.get(guestId);
		const before = guest.seats.find((seat) => seat.volumeId === volumeId) ?? { volumeId, port: null, moves: 0 };
		const isOther = (one: { volumeId: VolumeId }) => one.volumeId !== volumeId;
		const seats = [...guest.seats.filter(isOther), { ...before, moves: before.moves + 1 }];
		const order = guest.volumes.map((volume) => volume.volumeId);
		await this.#guests.change(guestId, {
			volumes: guest.volumes.map((volume) => (isOther(volume) ? volume : { volumeId, path })),
			seats: seats.sort((a, b) => order.indexOf(a.volumeId) - order.indexOf(b.volumeId)),
		});
	}

	/** @throws {SternaError} `not_found` */
	async #read({ volumeId, path }: VolumeLocation): Promise<SimulatedVolume> {
		const volume = await readJsonFile(path, SimulatedVolume);
		if (volume === null) throw new SternaError("not_found", `the volume ${volumeId} is not there`);
		return volume;
	}
}
