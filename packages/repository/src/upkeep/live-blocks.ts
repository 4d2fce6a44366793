import { type FramePart, maxFrameBlocks } from "../format/frame.ts";
import type { PackId } from "../format/pack-id.ts";

/** A block in its pack. */
export interface Place {
	/** Of its frame. */
	offset: number;
	frameIndex: number;
	/** The block's share of its frame's bytes, so that the shares of all its blocks are the frame; rounded up to 16 bytes. */
	shareBytes: number;
}

const shareUnitBytes = 16;
/** Shares in 17 bits: a block of 1 MiB, sealed alone. With 32 bits of offset and 2 of index a double holds them exactly. */
const maxShares = 2 ** 17;
const firstPlaces = 16;

/** Which places of which packs are needed. Eight bytes a block: 128 MiB for 1 TiB of blocks of 64 KiB. */
export class LiveBlocks {
	readonly #packs = new Map<PackId, Places>();

	add({ packId, offset, storedBytes, frameBlocks, frameIndex }: FramePart & { packId: PackId; offset: number }): void {
		let places = this.#packs.get(packId);
		if (!places) {
			places = new Places();
			this.#packs.set(packId, places);
		}
		const shares = Math.min(Math.ceil(storedBytes / frameBlocks / shareUnitBytes), maxShares - 1);
		places.add((offset * maxFrameBlocks + frameIndex) * maxShares + shares);
	}

	/** Needed places of a pack, by offset and index; empty when nothing needs the pack. */
	of(packId: PackId): Place[] {
		const values = this.#packs.get(packId)?.sorted() ?? [];
		return Array.from(values, (value) => {
			const place = Math.floor(value / maxShares);
			return {
				offset: Math.floor(place / maxFrameBlocks),
				frameIndex: place % maxFrameBlocks,
				shareBytes: (value % maxShares) * shareUnitBytes,
			};
		});
	}

	/** Of a frame that is needed in part only what is needed counts: its dead blocks are what moving it saves. */
	bytes(packId: PackId): number {
		return this.of(packId).reduce((sum, { shareBytes }) => sum + shareBytes, 0);
	}

	packs(): PackId[] {
		return [...this.#packs.keys()];
	}
}

/** Numbers, each kept once; sorted when they are asked for and when room runs out. */
class Places {
	#values = new Float64Array(firstPlaces);
	#count = 0;
	#isSorted = true;

	add(value: number): void {
		if (this.#count > 0 && this.#values[this.#count - 1] === value) return;
		if (this.#count === this.#values.length) {
			this.sorted();
			if (this.#count > this.#values.length / 2) {
				const larger = new Float64Array(this.#values.length * 2);
				larger.set(this.#values);
				this.#values = larger;
			}
		}
		this.#values[this.#count++] = value;
		this.#isSorted = false;
	}

	sorted(): Float64Array {
		const values = this.#values.subarray(0, this.#count);
		if (this.#isSorted) return values;
		values.sort();
		let kept = 0;
		for (const value of values) {
			if (kept === 0 || values[kept - 1] !== value) values[kept++] = value;
		}
		this.#count = kept;
		this.#isSorted = true;
		return values.subarray(0, kept);
	}
}
