import { frameWord, parseFrameWord } from "../format/frame.ts";
import type { PackId } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";

/** Half of a hash tells blocks apart: keyed hashes meet in 128 bits by chance only, and a restore would notice. */
const keptHashBytes = 16;
const bytesPerSlot = keptHashBytes + 12;
const firstSlots = 1 << 12;
/** 28 bytes a slot: 28 MiB, filled to three quarters: 48 GiB of disk in blocks of 64 KiB. */
export const maxSlots = 1 << 20;

/**
 * Where blocks are, by their hash: bounded, so that a session's memory does not depend on the repository's size. When it is
 * full, what comes later is not found again and is stored twice; nothing else is lost.
 */
export class HashTable {
	#slots = firstSlots;
	#hashes: Uint8Array = new Uint8Array(firstSlots * keptHashBytes);
	/** Pack's index and 1, offset, part in the frame. 0: free. */
	#places: Uint32Array = new Uint32Array(firstSlots * 3);
	#count = 0;
	readonly #maxSlots: number;
	readonly #packIds: PackId[] = [];
	readonly #packIndexes = new Map<PackId, number>();

	constructor(slots = maxSlots) {
		this.#maxSlots = slots;
	}

	get full(): boolean {
		return this.#slots >= this.#maxSlots && this.#count >= this.#slots * 0.75;
	}

	get memoryBytes(): number {
		return this.#slots * bytesPerSlot;
	}

	find(hash: Uint8Array): Reference | null {
		const slot = this.#slot(hash);
		const packIndex = this.#places[slot * 3] ?? 0;
		const packId = this.#packIds[packIndex - 1];
		const part = parseFrameWord(this.#places[slot * 3 + 2] ?? 0);
		if (!packId || !part) return null;
		return { hash: new Uint8Array(hash), packId, offset: this.#places[slot * 3 + 1] ?? 0, ...part };
	}

	/** The first place of a block stays; when the table is full nothing happens. */
	add({ hash, packId, offset, ...part }: Reference): void {
		if (this.#count >= this.#slots * 0.75) {
			if (this.#slots >= this.#maxSlots) return;
			this.#grow();
		}
		const slot = this.#slot(hash);
		if (this.#places[slot * 3] !== 0) return;
		this.#hashes.set(hash.subarray(0, keptHashBytes), slot * keptHashBytes);
		this.#places[slot * 3] = this.#packIndex(packId) + 1;
		this.#places[slot * 3 + 1] = offset;
		this.#places[slot * 3 + 2] = frameWord(part);
		this.#count++;
	}

	#packIndex(packId: PackId): number {
		const known = this.#packIndexes.get(packId);
		if (known !== undefined) return known;
		this.#packIds.push(packId);
		this.#packIndexes.set(packId, this.#packIds.length - 1);
		return this.#packIds.length - 1;
	}

	/** Where the hash is or would be. Keyed hashes are evenly spread, so their first bytes choose the slot. */
	#slot(hash: Uint8Array): number {
		const wanted = hash.subarray(0, keptHashBytes);
		const first = (hash[0] ?? 0) | ((hash[1] ?? 0) << 8) | ((hash[2] ?? 0) << 16) | ((hash[3] ?? 0) << 24);
		for (let slot = (first >>> 0) % this.#slots; ; slot = (slot + 1) % this.#slots) {
			if (this.#places[slot * 3] === 0) return slot;
			const at = slot * keptHashBytes;
			if (Buffer.compare(this.#hashes.subarray(at, at + keptHashBytes), wanted) === 0) return slot;
		}
	}

	#grow(): void {
		const [hashes, places, slots] = [this.#hashes, this.#places, this.#slots];
		this.#slots = slots * 2;
		this.#hashes = new Uint8Array(this.#slots * keptHashBytes);
		this.#places = new Uint32Array(this.#slots * 3);
		for (let slot = 0; slot < slots; slot++) {
			if (places[slot * 3] === 0) continue;
			const hash = hashes.subarray(slot * keptHashBytes, (slot + 1) * keptHashBytes);
			const to = this.#slot(hash);
			this.#hashes.set(hash, to * keptHashBytes);
			this.#places.set(places.subarray(slot * 3, slot * 3 + 3), to * 3);
		}
	}
}
