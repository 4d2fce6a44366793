import { rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type {
	CreateVolume,
	GrowVolume,
	MoveVolume,
	StartRequest,
	VolumeLocation,
	VolumeReport,
} from "../hypervisor.ts";
import type { SimulatedGuests } from "./guests.ts";
import { readJsonFile, SimulatedVolume, writeJsonFile } from "./record.ts";

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

	async inspect({ path }: VolumeLocation): Promise<VolumeReport> {
		const volume = await readJsonFile(path, SimulatedVolume);
		if (volume === null) return { exists: false, sizeBytes: 0, allocatedBytes: 0 };
		return { exists: true, sizeBytes: volume.simulatedVolumeBytes, allocatedBytes: volume.count * 512 };
	}

	/** @throws {SternaError} `not_found` when a volume of the guest is not there. */
	async expectAll({ spec, volumes }: StartRequest): Promise<void> {
		for (const volume of volumes) {
			if ((await this.inspect(volume)).exists) continue;
			throw new SternaError("not_found", `the volume ${volume.volumeId} of guest ${spec.name} is not there`);
		}
	}

	async grow(_request: GrowVolume): Promise<void> {
		throw this.#missing("growing a volume");
	}

	async attach(_guestId: GuestId, _location: VolumeLocation): Promise<void> {
		throw this.#missing("attaching a volume");
	}

	async move(_request: MoveVolume, _signal: AbortSignal): Promise<void> {
		throw this.#missing("moving a volume");
	}

	#missing(what: string): SternaError {
		return new SternaError("internal", `${what} is not built yet (${this.#guests.ids().length} guests)`);
	}
}
