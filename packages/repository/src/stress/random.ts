/** Chance from a seed: the same seed, the same run. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed >>> 0;
	}

	/** 32 evenly spread bits: splitmix32, the 32-bit sibling of the generator in Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators". */
	bits(): number {
		this.#state = (this.#state + 0x9e37_79b9) >>> 0;
		let bits = this.#state;
		bits = Math.imul(bits ^ (bits >>> 16), 0x21f0_aaad);
		bits = Math.imul(bits ^ (bits >>> 15), 0x735a_2d97);
		return (bits ^ (bits >>> 15)) >>> 0;
	}

	/** A whole number in [0, below). */
	below(below: number): number {
		return Math.floor((this.bits() / 2 ** 32) * below);
	}

	chance(probability: number): boolean {
		return this.bits() / 2 ** 32 < probability;
	}

	/** @throws when there is nothing to choose from. */
	pick<Item>(items: readonly Item[]): Item {
		const item = items[this.below(items.length)];
		if (item === undefined) throw new RangeError("nothing to choose from");
		return item;
	}

	bytes(length: number): Uint8Array {
		return Uint8Array.from({ length }, () => this.bits() & 0xff);
	}

	uuid(): string {
		const hex = Buffer.from(this.bytes(16)).toString("hex");
		return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
	}
}
