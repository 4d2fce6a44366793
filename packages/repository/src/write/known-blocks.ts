import type { Reference } from "../format/reference.ts";
import type { HashTable } from "./hash-table.ts";

/** A block that this session stores right now: sealed or not, it needs to be stored only once. */
export interface PendingBlock {
	reference: Promise<Reference>;
	resolve(reference: Reference): void;
	/** It will not be stored: whoever waits for it fails, too. */
	fail(error: unknown): void;
}

/** Which blocks need not be stored because they are in the repository, or on their way to it. */
export class KnownBlocks {
	readonly #table: HashTable;
	readonly #load: () => Promise<void>;
	#loading: Promise<void> | null = null;
	readonly #pending = new Map<string, PendingBlock>();

	/** `load` fills the table with what the repository holds; it is called at most once, when a volume first needs it. */
	constructor(table: HashTable, load: () => Promise<void>) {
		this.#table = table;
		this.#load = load;
	}

	/** The blocks of other points are known too. */
	learned(): Promise<void> {
		this.#loading ??= this.#load();
		return this.#loading;
	}

	find(hash: Uint8Array): Reference | PendingBlock | null {
		return this.#pending.get(name(hash)) ?? this.#table.find(hash);
	}

	/** From now on the block is found. Its place must be told, or that it failed, which ends the session. */
	expect(hash: Uint8Array): PendingBlock {
		const { promise, resolve, reject } = Promise.withResolvers<Reference>();
		// Often nobody waits for it.
		promise.catch(() => {});
		const key = name(hash);
		const pending: PendingBlock = {
			reference: promise,
			resolve: (reference) => {
				this.#table.add(reference);
				this.#pending.delete(key);
				resolve(reference);
			},
			fail: reject,
		};
		this.#pending.set(key, pending);
		return pending;
	}
}

function name(hash: Uint8Array): string {
	return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("latin1");
}
