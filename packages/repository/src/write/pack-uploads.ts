import { SternaError } from "@sterna/shared/errors";
import { compress, hashBlock } from "../codec/jobs.ts";
import { type FrameSeal, framesOf } from "../format/frame.ts";
import { maxPackBlocks, PackBuilder, packOverheadBytes, packTargetBytes } from "../format/pack.ts";
import { newPackId, packKey } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { nodeBytes } from "../tree/geometry.ts";
import type { NodeStore } from "../tree/tree-writer.ts";

/** Blocks are reserved by their plain length, which compression lessens: a pack may take more than its target for that. */
const packBufferBytes = packTargetBytes + 4 * 1024 * 1024 + packOverheadBytes(maxPackBlocks);
/** Packs in memory at once: one is filled while others are stored. */
const maxHeldPacks = 3;
const treePackBytes = 1024 * 1024;

interface FillingPack {
	builder: PackBuilder;
	buffer: Uint8Array;
	/** What was reserved and has not been appended, at its plain length. */
	reservedBytes: number;
	reservedBlocks: number;
	closing: boolean;
}

/** A frame that was sealed with a reserved number. */
export interface SealedFrame {
	/** Of its blocks. */
	hashes: Uint8Array[];
	sealed: Uint8Array;
	compressed: boolean;
}

/** Room in a pack for some blocks; each must be filled. */
export interface Reservation {
	/** Of the first of `framesOf(blocks)` frames. */
	seal: FrameSeal;
	/** Takes all frames of the reservation. Returns where each block is, in order. */
	append(frames: SealedFrame[]): Reference[];
}

/** The data packs of one session: filled by all its volumes, stored in the background, at most 60 MiB of them in memory. */
export class DataPacks {
	readonly #opened: Opened;
	readonly #owner: string;
	#filling: FillingPack | null = null;
	#held = 0;
	readonly #spare: Uint8Array[] = [];
	#waiting: (() => void)[] = [];
	readonly #uploads = new Set<Promise<void>>();
	#failure: unknown;

	constructor(opened: Opened, owner: string) {
		this.#opened = opened;
		this.#owner = owner;
	}

	/** Fulfilled when there is room. @throws whatever an earlier pack failed with. */
	async reserve(blocks: number, sealedBytes: number): Promise<Reservation> {
		while (!this.#fits(blocks, sealedBytes)) {
			this.#closeFilling();
			this.#check();
			if (this.#held < maxHeldPacks) this.#filling = this.#newPack();
			else await new Promise<void>((resolve) => this.#waiting.push(resolve));
		}
		this.#check();
		const pack = this.#filling;
		if (!pack) throw new SternaError("internal", "no pack is being filled");
		pack.reservedBytes += sealedBytes;
		pack.reservedBlocks += blocks;
		return {
			seal: pack.builder.reserve(framesOf(blocks)),
			append: (frames) => {
				const references = frames.flatMap(({ hashes, sealed, compressed }) =>
					pack.builder.append(hashes, sealed, compressed),
				);
				if (references.length !== blocks) throw new SternaError("internal", "a pack got other blocks than reserved");
				pack.reservedBytes -= sealedBytes;
				pack.reservedBlocks -= blocks;
				this.#uploadWhenFull(pack);
				return references;
			},
		};
	}

	/** Nothing more is taken: what was to fill a pack does not come. */
	fail(error: unknown): void {
		this.#failure ??= error;
		for (const wake of this.#waiting.splice(0)) wake();
	}

	/** All packs are stored, durably. */
	async flush(): Promise<void> {
		this.#closeFilling();
		while (this.#uploads.size > 0) await Promise.all(this.#uploads);
		this.#check();
	}

	#fits(blocks: number, sealedBytes: number): boolean {
		if (!this.#filling) return false;
		const { builder, reservedBytes, reservedBlocks } = this.#filling;
		return (
			builder.sizeBytes < packTargetBytes &&
			builder.sizeBytes + reservedBytes + sealedBytes <= packTargetBytes + 4 * 1024 * 1024 &&
			builder.blocks + reservedBlocks + blocks <= maxPackBlocks
		);
	}

	#newPack(): FillingPack {
		this.#held++;
		const buffer = this.#spare.pop() ?? new Uint8Array(packBufferBytes);
		const builder = new PackBuilder(newPackId(this.#owner, "data"), this.#opened.sealing, buffer);
		return { builder, buffer, reservedBytes: 0, reservedBlocks: 0, closing: false };
	}

	#closeFilling(): void {
		const pack = this.#filling;
		if (!pack) return;
		this.#filling = null;
		pack.closing = true;
		this.#uploadWhenFull(pack);
	}

	#uploadWhenFull(pack: FillingPack): void {
		if (!pack.closing || pack.reservedBlocks > 0) return;
		const upload = this.#upload(pack).finally(() => {
			this.#uploads.delete(upload);
			this.#held--;
			this.#spare.push(pack.buffer);
			for (const wake of this.#waiting.splice(0)) wake();
		});
		this.#uploads.add(upload);
	}

	/** Never rejects: a failure is told to whoever asks for room, and by `flush`. */
	async #upload(pack: FillingPack): Promise<void> {
		if (pack.builder.blocks === 0) return;
		try {
			await this.#opened.storage.put(packKey(pack.builder.packId), pack.builder.finish());
		} catch (error) {
			this.#failure ??= error;
		}
	}

	#check(): void {
		if (this.#failure) throw this.#failure;
	}
}

/** The tree packs of one session. Nodes are small and few, so they are sealed at once and stored in the background. */
export class TreePacks implements NodeStore {
	readonly #opened: Opened;
	readonly #owner: string;
	#filling: PackBuilder | null = null;
	readonly #uploads = new Set<Promise<void>>();
	#failure: unknown;
	#storedBytes = 0;

	constructor(opened: Opened, owner: string) {
		this.#opened = opened;
		this.#owner = owner;
	}

	/** Bytes of all nodes up to now. */
	get storedBytes(): number {
		return this.#storedBytes;
	}

	store(node: Uint8Array): Reference {
		const { sealing } = this.#opened;
		const hash = hashBlock(sealing.hashKey, node);
		const compressed = compress(node);
		this.#filling ??= new PackBuilder(
			newPackId(this.#owner, "tree"),
			sealing,
			new Uint8Array(treePackBytes + 2 * nodeBytes + packOverheadBytes(maxPackBlocks)),
		);
		const shape = { compressed: compressed !== null, plainBytes: nodeBytes };
		const [reference] = this.#filling.seal([hash], compressed ?? node, shape);
		if (!reference) throw new SternaError("internal", "a node that was sealed has no place");
		this.#storedBytes += reference.storedBytes;
		if (this.#filling.sizeBytes >= treePackBytes || this.#filling.blocks >= maxPackBlocks) this.#upload();
		return reference;
	}

	/** Fulfilled when few packs are on their way. @throws whatever an earlier one failed with. */
	async room(): Promise<void> {
		while (this.#uploads.size > 4) await Promise.race(this.#uploads);
		if (this.#failure) throw this.#failure;
	}

	/** All nodes are stored, durably. */
	async flush(): Promise<void> {
		this.#upload();
		await Promise.all(this.#uploads);
		if (this.#failure) throw this.#failure;
	}

	#upload(): void {
		const pack = this.#filling;
		this.#filling = null;
		if (!pack) return;
		const upload = this.#opened.storage
			.put(packKey(pack.packId), pack.finish())
			.catch((error: unknown) => {
				this.#failure ??= error;
			})
			.finally(() => this.#uploads.delete(upload));
		this.#uploads.add(upload);
	}
}
