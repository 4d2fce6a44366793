import { SternaError } from "@sterna/shared/errors";
import { sealedBatchBytes } from "../codec/jobs.ts";
import { hashBytes, isHole, type Reference, readReference, referenceBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { fanout } from "../tree/geometry.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import type { TreeWriter } from "../tree/tree-writer.ts";
import type { KnownBlocks, PendingBlock } from "./known-blocks.ts";
import type { DataPacks, TreePacks } from "./pack-uploads.ts";
import { isUsable, type Unusable, usable } from "./reusable.ts";

/** How much of a disk is hashed and sealed at a time. */
export const batchBytes = 1024 * 1024;

/** Blocks to be stored, in rising order; whole, one after the other in `content`, a room of the codec. */
export interface Batch {
	content: Uint8Array;
	blocks: number[];
}

/** What the volumes of one session share. */
export interface SessionParts {
	opened: Opened;
	unusable: Unusable;
	known: KnownBlocks;
	data: DataPacks;
	nodes: TreePacks;
}

/** What becomes of one block of a batch. `stored`: by index among the blocks that the batch stores. */
type Fate =
	| { is: "zero" }
	| { is: "reused"; reference: Reference }
	| { is: "stored"; index: number }
	| { is: "pending"; pending: PendingBlock };

/**
 * The way of a volume's blocks into the repository: hash (in a thread), decide in order what must be stored, seal (in a
 * thread), append to a pack, enter into the tree in order. Several batches are on the way at once; each stage keeps the order
 * of the batches, and appending waits for nothing but sealing, so that a full pack is never held up by the tree.
 */
export class VolumeBlocks {
	readonly #parts: SessionParts;
	readonly #parent: TreeReader | null;
	readonly #tree: TreeWriter;
	readonly #learns: boolean;
	#decided: Promise<unknown> = Promise.resolve();
	#appended: Promise<unknown> = Promise.resolve();
	#entered: Promise<unknown> = Promise.resolve();
	storedBytes = 0;
	changedBytes = 0;

	/** `learns`: blocks of other points are looked for too, not only those at the same place in the parent. */
	constructor(parts: SessionParts, volume: { parent: TreeReader | null; tree: TreeWriter; learns: boolean }) {
		this.#parts = parts;
		this.#parent = volume.parent;
		this.#tree = volume.tree;
		this.#learns = volume.learns;
	}

	/** Sends a batch on its way. Fulfilled when it is stored up to its pack's upload and is in the tree. */
	async add(batch: Batch): Promise<void> {
		const { config, sealing, codec } = this.#parts.opened;
		const { blockSizeBytes } = config;
		const hashed = codec.hash({ is: "hash", hashKey: sealing.hashKey, blockSizeBytes, content: batch.content });
		hashed.catch(() => {});
		const pending: PendingBlock[] = [];
		const decided = after(this.#decided, async () => {
			const { content, hashes, zeros } = await hashed;
			const { fates, toStore } = await this.#decide(batch.blocks, hashes, zeros, pending);
			if (toStore.length === 0) {
				codec.giveBack(content);
				return { fates, stored: null };
			}
			const room = await this.#parts.data.reserve(toStore.length, sealedBatchBytes(toStore.length, blockSizeBytes));
			const { key, keyNumber, ordinal } = room.seal;
			const sealed = codec.room(sealedBatchBytes(batchBytes / blockSizeBytes, blockSizeBytes));
			const job = { is: "seal" as const, blockSizeBytes, content, blocks: toStore, key, keyNumber, sealed };
			const sealing = codec.seal({ ...job, firstOrdinal: ordinal });
			sealing.catch(() => {});
			return { fates, stored: { room, sealing, hashes, toStore } };
		});
		this.#decided = decided;
		const appended = after(this.#appended, async () => {
			const { fates, stored } = await decided;
			const references = stored ? await this.#append(stored) : [];
			for (const [index, reference] of references.entries()) pending[index]?.resolve(reference);
			return { fates, references };
		});
		this.#appended = appended;
		// Other volumes may wait for these blocks, or for room in the packs that they were to fill.
		appended.catch((error: unknown) => {
			this.#parts.data.fail(error);
			for (const block of pending) block.fail(error);
		});
		const entered = after(this.#entered, async () => {
			const { fates, references } = await appended;
			await this.#enter(batch.blocks, fates, references);
		});
		this.#entered = entered;
		await entered;
	}

	async #decide(blocks: number[], hashes: Uint8Array, zeros: Uint8Array, pending: PendingBlock[]) {
		const { known, opened } = this.#parts;
		if (this.#learns) await known.learned();
		const fates: Fate[] = [];
		const toStore: number[] = [];
		let leaf: Uint8Array | null = null;
		let leafIndex = -1;
		for (const [index, block] of blocks.entries()) {
			if (Math.floor(block / fanout) !== leafIndex) {
				leafIndex = Math.floor(block / fanout);
				leaf = await this.#parentLeaf(leafIndex);
			}
			const at = (block % fanout) * referenceBytes;
			const hash = hashes.subarray(index * hashBytes, (index + 1) * hashBytes);
			const before = leaf && !isHole(leaf, at) ? leaf : null;
			if (zeros[index] === 1) {
				if (before) this.changedBytes += opened.config.blockSizeBytes;
				fates.push({ is: "zero" });
				continue;
			}
			const same = before && Buffer.compare(before.subarray(at, at + hashBytes), hash) === 0;
			if (!same) this.changedBytes += opened.config.blockSizeBytes;
			const reused = (same && (await this.#usable(readReference(before, at)))) || known.find(hash);
			if (!reused) {
				fates.push({ is: "stored", index: toStore.length });
				toStore.push(index);
				pending.push(known.expect(hash));
			} else if ("reference" in reused) fates.push({ is: "pending", pending: reused });
			else fates.push({ is: "reused", reference: reused });
		}
		return { fates, toStore };
	}

	async #usable(reference: Reference | null): Promise<Reference | null> {
		if (!reference || isUsable(this.#parts.unusable, reference)) return reference;
		return usable(this.#parts.opened, this.#parts.unusable, reference);
	}

	async #parentLeaf(index: number): Promise<Uint8Array | null> {
		if (!this.#parent || index * fanout >= this.#parent.blocks) return null;
		return this.#parent.node(1, index);
	}

	async #append({ room, sealing, hashes, toStore }: StoredPart): Promise<Reference[]> {
		const { content, sealed, stored } = await sealing;
		const hashOf = (block: number) => hashes.slice(block * hashBytes, (block + 1) * hashBytes);
		let [at, first] = [0, 0];
		const frames = stored.map(({ storedBytes, compressed, blocks }) => {
			const frame = {
				hashes: toStore.slice(first, first + blocks).map(hashOf),
				sealed: sealed.subarray(at, at + storedBytes),
				compressed,
			};
			at += storedBytes;
			first += blocks;
			return frame;
		});
		this.storedBytes += at;
		const references = room.append(frames);
		const { codec } = this.#parts.opened;
		codec.giveBack(content);
		codec.giveBack(sealed);
		return references;
	}

	async #enter(blocks: number[], fates: Fate[], references: Reference[]): Promise<void> {
		for (const [index, block] of blocks.entries()) {
			await this.#tree.set(block, await referenceOf(fates[index], references));
		}
		await this.#parts.nodes.room();
	}

	/** Zeros for blocks [from, to), behind what was added before. */
	async zero(from: number, to: number): Promise<void> {
		const entered = after(this.#entered, () => this.#tree.zero(from, to));
		this.#entered = entered;
		await entered;
	}

	/** What leads to the whole volume. All that was added is entered. */
	async finish(): Promise<Reference | null> {
		await this.#entered;
		return this.#tree.finish();
	}
}

interface StoredPart {
	room: Awaited<ReturnType<DataPacks["reserve"]>>;
	sealing: ReturnType<Opened["codec"]["seal"]>;
	/** Of all blocks of the batch. */
	hashes: Uint8Array;
	toStore: number[];
}

async function referenceOf(fate: Fate | undefined, stored: Reference[]): Promise<Reference | null> {
	switch (fate?.is) {
		case "zero":
			return null;
		case "reused":
			return fate.reference;
		case "pending":
			return fate.pending.reference;
		default: {
			const reference = fate && stored[fate.index];
			if (!reference) throw new SternaError("internal", "a block of a batch has no place");
			return reference;
		}
	}
}

/** Runs `next` when `earlier` is fulfilled; what failed once fails everything behind it. */
function after<T>(earlier: Promise<unknown>, next: () => Promise<T>): Promise<T> {
	const result = earlier.then(next);
	result.catch(() => {});
	return result;
}
