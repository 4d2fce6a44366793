import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { Reference } from "../format/reference.ts";
import type { VolumeWriter } from "../repository.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import { TreeWriter } from "../tree/tree-writer.ts";
import type { BatchSlots } from "./batch-slots.ts";
import { batchBytes, type SessionParts, VolumeBlocks } from "./volume-blocks.ts";

export interface FinishedVolume {
	sizeBytes: number;
	root: Reference | null;
	readBytes: number;
	storedBytes: number;
	changedBytes: number;
}

/** Gathers what is written into batches and sends them on their way; several are under way at once. */
export class BatchingVolumeWriter implements VolumeWriter {
	readonly #parts: SessionParts;
	readonly #slots: BatchSlots;
	readonly #volumeId: VolumeId;
	readonly #sizeBytes: number;
	readonly #blocks: VolumeBlocks;
	readonly #blockSizeBytes: number;
	#content: Uint8Array | null = null;
	#indexes: number[] = [];
	/** Where the next write may begin. */
	#at = 0;
	#readBytes = 0;
	#failure: unknown;
	#last: Promise<unknown> = Promise.resolve();
	finished: FinishedVolume | null = null;

	constructor(
		parts: SessionParts,
		slots: BatchSlots,
		volume: { volumeId: VolumeId; sizeBytes: number; inherit: boolean; parent: TreeReader | null },
	) {
		this.#parts = parts;
		this.#slots = slots;
		this.#volumeId = volume.volumeId;
		this.#sizeBytes = volume.sizeBytes;
		this.#blockSizeBytes = parts.opened.config.blockSizeBytes;
		const { parent, inherit } = volume;
		const tree = new TreeWriter(parts.nodes, { blocks: volume.sizeBytes / this.#blockSizeBytes, parent, inherit });
		this.#blocks = new VolumeBlocks(parts, { parent, tree, learns: parent === null });
	}

	async write(offset: number, data: Uint8Array): Promise<void> {
		this.#advance(offset, data.length);
		this.#readBytes += data.length;
		const size = this.#blockSizeBytes;
		for (let from = 0; from < data.length; ) {
			this.#content ??= this.#parts.opened.codec.room(batchBytes);
			const filled = this.#indexes.length * size;
			const part = data.subarray(from, from + this.#content.length - filled);
			this.#content.set(part, filled);
			for (let at = 0; at < part.length; at += size) this.#indexes.push((offset + from + at) / size);
			from += part.length;
			if (filled + part.length === this.#content.length) await this.#send();
		}
	}

	async zero(offset: number, lengthBytes: number): Promise<void> {
		this.#advance(offset, lengthBytes);
		if (lengthBytes === 0) return;
		await this.#send();
		const [from, to] = [offset / this.#blockSizeBytes, (offset + lengthBytes) / this.#blockSizeBytes];
		this.#watch(this.#blocks.zero(from, to));
	}

	async finish(): Promise<{ readBytes: number; storedBytes: number; changedBytes: number }> {
		if (this.finished) throw new SternaError("wrong_state", `volume ${this.#volumeId} is finished already`);
		await this.#send();
		await this.#last;
		this.#check();
		const nodesBefore = this.#parts.nodes.storedBytes;
		const root = await this.#blocks.finish();
		const { changedBytes } = this.#blocks;
		const storedBytes = this.#blocks.storedBytes + this.#parts.nodes.storedBytes - nodesBefore;
		this.finished = { sizeBytes: this.#sizeBytes, root, readBytes: this.#readBytes, storedBytes, changedBytes };
		return { readBytes: this.#readBytes, storedBytes, changedBytes };
	}

	/** Everything that is under way has ended, well or not. */
	async settled(): Promise<void> {
		await this.#last.catch(() => {});
	}

	#advance(offset: number, lengthBytes: number): void {
		this.#check();
		const end = offset + lengthBytes;
		if (this.finished) throw new SternaError("wrong_state", `volume ${this.#volumeId} is finished already`);
		if (offset % this.#blockSizeBytes !== 0 || lengthBytes % this.#blockSizeBytes !== 0) {
			throw new SternaError(
				"invalid",
				`blocks of ${this.#blockSizeBytes} bytes are written whole: not ${offset}-${end}`,
			);
		}
		if (!(offset >= this.#at && lengthBytes >= 0 && end <= this.#sizeBytes)) {
			throw new SternaError("invalid", `bytes ${offset}-${end} of volume ${this.#volumeId} are outside or came before`);
		}
		this.#at = end;
	}

	/** Sends what was gathered, once a batch may be under way. */
	async #send(): Promise<void> {
		const [content, blocks] = [this.#content, this.#indexes];
		if (!content || blocks.length === 0) return;
		this.#content = null;
		this.#indexes = [];
		const release = await this.#slots.acquire();
		const whole = content.subarray(0, blocks.length * this.#blockSizeBytes);
		this.#watch(this.#blocks.add({ content: whole, blocks }).finally(release));
		this.#check();
	}

	#watch(work: Promise<void>): void {
		const noted = work.catch((error: unknown) => {
			this.#failure ??= error;
		});
		this.#last = Promise.all([this.#last, noted]);
	}

	#check(): void {
		if (this.#failure) throw this.#failure;
	}
}
