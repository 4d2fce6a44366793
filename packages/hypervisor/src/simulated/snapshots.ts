import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type {
	DiskProgress,
	EndSnapshot,
	ProcessReport,
	SnapshotReport,
	StartRequest,
	TakeSnapshot,
	VolumeLocation,
	VolumeSource,
	VolumeTracking,
} from "../hypervisor.ts";
import type { SimulatedGuests } from "./guests.ts";

/** What the simulated driver does for backups and instant restores. */
export class SimulatedSnapshots {
	readonly #guests: SimulatedGuests;

	constructor(guests: SimulatedGuests) {
		this.#guests = guests;
	}

	async changeTracking(_guestId: GuestId, _volumes: readonly VolumeLocation[]): Promise<VolumeTracking[]> {
		throw this.#missing("telling what is tracked of volumes");
	}

	async takeSnapshot(_request: TakeSnapshot): Promise<SnapshotReport> {
		throw this.#missing("taking a snapshot");
	}

	async isSnapshotWhole(_guestId: GuestId): Promise<boolean> {
		throw this.#missing("looking at a snapshot");
	}

	async endSnapshot(_request: EndSnapshot): Promise<void> {
		throw this.#missing("ending a snapshot");
	}

	async startFrom(_request: StartRequest, _sources: readonly VolumeSource[]): Promise<ProcessReport> {
		throw this.#missing("starting a guest from elsewhere");
	}

	async fillVolumes(
		_guestId: GuestId,
		_onProgress: (progress: DiskProgress) => void,
		_signal: AbortSignal,
	): Promise<void> {
		throw this.#missing("filling volumes");
	}

	#missing(what: string): SternaError {
		const { length } = this.#guests.ids();
		return new SternaError("internal", `${what} is not built yet (${length} guests)`);
	}
}
