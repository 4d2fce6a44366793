import { setTimeout as delay } from "node:timers/promises";
import { connectNbd } from "@sterna/nbd/client";
import { SternaError } from "@sterna/shared/errors";
import type { DiskProgress, StartRequest, VolumeSource } from "../hypervisor.ts";
import { readJsonFile, SimulatedVolume, writeJsonFile } from "./record.ts";

const stepBytes = 1024 * 1024;
const retryEveryMs = 20;

/** Volumes that are read from elsewhere until all of them is here. What a simulated guest writes needs none of it. */
export class SimulatedFill {
	/** What this life of the driver knows of; a later one is told again by its caller. */
	readonly #sources = new Map<string, VolumeSource[]>();

	/** Marks what is new as incomplete. @throws {SternaError} `unavailable` when a source does not answer. */
	async begin({ spec, volumes }: StartRequest, sources: readonly VolumeSource[]): Promise<void> {
		const needed: VolumeSource[] = [];
		for (const source of sources) {
			const path = volumes.find(({ volumeId }) => volumeId === source.volumeId)?.path ?? "";
			const volume = await readJsonFile(path, SimulatedVolume);
			if (volume === null) throw new SternaError("not_found", `the volume ${source.volumeId} is not there`);
			const isNew = volume.count === 0 && !volume.filled;
			if (!volume.incomplete && !isNew) continue;
			// First, as QEMU's driver does: a source that does not answer leaves a volume that is marked.
			await writeJsonFile(path, { ...volume, incomplete: true });
			await (await connectNbd({ socketPath: source.socket, exportName: source.exportName, contexts: [] })).close();
			needed.push(source);
		}
		this.#sources.set(spec.id, needed);
	}

	/** Reads all that is missing; a source that fails is asked again until it answers. */
	async fill(
		guestId: string,
		volumes: readonly { volumeId: string; path: string }[],
		onProgress: (progress: DiskProgress) => void,
		signal: AbortSignal,
	): Promise<void> {
		const sources = this.#sources.get(guestId) ?? [];
		for (const source of sources) {
			const path = volumes.find(({ volumeId }) => volumeId === source.volumeId)?.path ?? "";
			const volume = await readJsonFile(path, SimulatedVolume);
			if (volume === null) throw new SternaError("not_found", `the volume ${source.volumeId} is not there`);
			const totalBytes = volume.simulatedVolumeBytes;
			for (let offset = 0; offset < totalBytes; ) {
				if (signal.aborted) throw new SternaError("cancelled", "filling the volumes was cancelled");
				const lengthBytes = Math.min(stepBytes, totalBytes - offset);
				if (!(await canRead(source, offset, lengthBytes))) {
					await delay(retryEveryMs, undefined, { signal }).catch(() => undefined);
					continue;
				}
				offset += lengthBytes;
				onProgress({ totalBytes, transferredBytes: offset });
			}
			const now = (await readJsonFile(path, SimulatedVolume)) ?? volume;
			await writeJsonFile(path, { ...now, incomplete: false, filled: true });
		}
		this.#sources.delete(guestId);
	}
}

async function canRead({ socket, exportName }: VolumeSource, offset: number, lengthBytes: number): Promise<boolean> {
	try {
		const client = await connectNbd({ socketPath: socket, exportName, contexts: [] });
		await client.read(offset, lengthBytes).finally(() => client.close());
		return true;
	} catch {
		return false;
	}
}
