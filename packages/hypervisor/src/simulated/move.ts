import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { VolumeId } from "@sterna/shared/ids";
import type { CopyDisks, CopyMemory } from "../hypervisor.ts";
import { type CopyModel, copyStep } from "./clock.ts";
import { CopyConnection, type CopyMessage } from "./wire.ts";

export interface MoveRates {
	stepMs: number;
	linkBytesPerSecond: number;
	dirtyBytesPerSecond: number;
	answerMs: number;
}

const page: CopyMessage = { type: "page", data: "0".repeat(4096) };

/** The source's side of a move: virtual progress, and a small real message for each step of it. */
export class SimulatedMove {
	readonly #spec: GuestSpec;
	readonly #readCount: () => number;
	readonly #rates: MoveRates;
	readonly #disks = new Map<VolumeId, CopyConnection>();
	#memory: CopyConnection | null = null;

	constructor(options: { spec: GuestSpec; readCount: () => number; rates: MoveRates }) {
		this.#spec = options.spec;
		this.#readCount = options.readCount;
		this.#rates = { ...options.rates };
	}

	get hasMemoryUnderWay(): boolean {
		return this.#memory !== null;
	}

	async copyDisks(copy: CopyDisks, signal: AbortSignal): Promise<void> {
		const sizes = new Map(this.#spec.volumes.map((volume) => [volume.id, volume.sizeBytes]));
		const totalBytes = copy.disks.reduce((sum, { volumeId }) => sum + (sizes.get(volumeId) ?? 0), 0);
		let transferredBytes = 0;
		try {
			for (const { volumeId, socket } of copy.disks) {
				const connection = CopyConnection.open(socket);
				this.#disks.set(volumeId, connection);
				await connection.send({ type: "disk", volumeId });
				await this.#step(connection, signal);
				await this.#sendContent(connection, signal);
				transferredBytes += sizes.get(volumeId) ?? 0;
				copy.onProgress({ totalBytes, transferredBytes });
			}
		} catch (error) {
			this.close();
			throw error;
		}
	}

	/** Ends when what remains fits into the pause; the caller pauses the guest. */
	async copyMemory(copy: CopyMemory, signal: AbortSignal): Promise<void> {
		const connection = CopyConnection.open(copy.socket);
		this.#memory = connection;
		let { downtimeLimitMs } = copy;
		let model: CopyModel = { remainingBytes: this.#spec.memoryBytes, transferredBytes: 0, passes: 0 };
		try {
			await connection.send({ type: "memory", guestId: copy.guestId });
			for (;;) {
				await this.#step(connection, signal);
				model = copyStep(model, this.#rates);
				const expectedDowntimeMs = (model.remainingBytes / this.#rates.linkBytesPerSecond) * 1000;
				const steering = copy.onProgress({
					totalBytes: this.#spec.memoryBytes,
					...model,
					dirtyBytesPerSecond: this.#rates.dirtyBytesPerSecond,
					bytesPerSecond: this.#rates.linkBytesPerSecond,
					expectedDowntimeMs,
				});
				if (steering && "abandon" in steering) throw new SternaError("wrong_state", steering.abandon);
				if (steering && "throttle" in steering) this.#rates.dirtyBytesPerSecond /= 2;
				if (steering && "downtimeLimitMs" in steering) downtimeLimitMs = steering.downtimeLimitMs;
				if (expectedDowntimeMs <= downtimeLimitMs) return;
			}
		} catch (error) {
			connection.close();
			this.#memory = null;
			throw error;
		}
	}

	async switchOver(count: number, signal: AbortSignal): Promise<void> {
		if (this.#memory === null) throw new SternaError("wrong_state", `guest ${this.#spec.name} is not being moved`);
		for (const connection of this.#disks.values()) await this.#sendContent(connection, signal);
		await this.#memory.send({ type: "lastPages", count });
		await this.#memory.next({ timeoutMs: this.#rates.answerMs, signal });
		this.close();
	}

	close(): void {
		for (const connection of this.#disks.values()) connection.close();
		this.#disks.clear();
		this.#memory?.close();
		this.#memory = null;
	}

	async #step(connection: CopyConnection, signal: AbortSignal): Promise<void> {
		await delay(this.#rates.stepMs, undefined, { signal }).catch((cause: unknown) => {
			throw new SternaError("cancelled", `the move of guest ${this.#spec.name} was cancelled`, { cause });
		});
		await connection.send(page);
	}

	async #sendContent(connection: CopyConnection, signal: AbortSignal): Promise<void> {
		await connection.send({ type: "diskContent", count: this.#readCount() });
		await connection.next({ timeoutMs: this.#rates.answerMs, signal });
	}
}
