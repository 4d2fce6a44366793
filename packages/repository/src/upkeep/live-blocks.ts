import type { PackId } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";

/** A block in its pack. */
export interface Place {
	offset: number;
	storedBytes: number;
}

/** An offset is below 2^32, a length below 2^20: together they fit into what a double holds exactly. */
const lengthFactor = 2 ** 20;
const firstPlaces = 16;

/** Which places of which packs are needed. Eight bytes a block: 128 MiB for 1 TiB of blocks of 64 KiB. */
export class LiveBlocks {
	readonly #packs = new Map<PackId, Places>();

	add({ packId, offset, storedBytes }: Pick<Reference, "packId" | "offset" | "storedBytes">): void {
		let places = this.#packs.get(packId);
		if (!places) {
			places = new Places();
			this.#packs.set(packId, places);
		}
		places.add(offset * lengthFactor + storedBytes);
	}

	/** Needed places of a pack, by offset; empty when nothing needs the pack. */
	of(packId: PackId): Place[] {
		const values = this.#packs.get(packId)?.sorted() ?? [];
		return Array.from(values, (value) => ({
			offset: Math.floor(value / lengthFactor),
			storedBytes: value % lengthFactor,
		}));
	}

	bytes(packId: PackId): number {
		return this.of(packId).reduce((sum, { storedBytes }) => sum + storedBytes, 0);
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
