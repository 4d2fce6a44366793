import { SternaError } from "@sterna/shared/errors";
import type { Storage } from "../storage.ts";

/**
 * A storage whose user dies at its `callsUntilCrash`-th call: that call and all later ones fail. `torn`: the last one took place
 * although its answer was lost.
 */
export class CrashingStorage implements Storage {
	calls = 0;
	readonly locked = false;
	readonly #inner: Storage;
	readonly #callsUntilCrash: number;
	readonly #torn: boolean;

	constructor(inner: Storage, callsUntilCrash: number, torn: boolean) {
		this.#inner = inner;
		this.#callsUntilCrash = callsUntilCrash;
		this.#torn = torn;
	}

	put = (key: string, data: Uint8Array) => this.#call(() => this.#inner.put(key, data));
	create = (key: string, data: Uint8Array) => this.#call(() => this.#inner.create(key, data));
	get = (key: string, range?: { offset: number; length: number }) => this.#call(() => this.#inner.get(key, range));
	size = (key: string) => this.#call(() => this.#inner.size(key));
	remove = (key: string) => this.#call(() => this.#inner.remove(key));
	tidy = () => this.#call(() => this.#inner.tidy());
	capacity = () => this.#call(() => this.#inner.capacity());

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		await this.#call(async () => {});
		yield* this.#inner.list(prefix);
	}

	async close(): Promise<void> {}

	async #call<T>(call: () => Promise<T>): Promise<T> {
		this.calls++;
		const crashed = new SternaError("unavailable", "the storage does not answer any more");
		if (this.calls > this.#callsUntilCrash) throw crashed;
		if (this.calls < this.#callsUntilCrash) return call();
		if (this.#torn) await call();
		throw crashed;
	}
}
