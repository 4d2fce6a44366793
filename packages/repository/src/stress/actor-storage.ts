import { SternaError } from "@sterna/shared/errors";
import { checkStorageKey, type Storage } from "../storage.ts";
import type { Random } from "./random.ts";
import type { Actor, Scheduler } from "./scheduler.ts";

/** What all actors share: objects in the order of their coming, so that nothing depends on random names. */
export type SharedObjects = Map<string, Uint8Array>;

/** What collections did, to see that a run was not idle. */
export interface Deeds {
	packsDeleted: number;
	packsMoved: number;
	collections: number;
}

const pageSize = 7;

/**
 * The shared objects as one actor sees them: every call waits for its turn, and sometimes the answer is lost, with or without
 * the deed. A list comes in pages, as S3's do: what comes or goes meanwhile may be seen or not.
 */
export class ActorStorage implements Storage {
	readonly locked = false;
	readonly #objects: SharedObjects;
	readonly #scheduler: Scheduler;
	readonly #random: Random;
	readonly #actor: Actor;
	readonly #lossRate: number;
	readonly #deeds: Deeds;
	readonly #dropped: Set<string>;

	constructor(
		world: {
			objects: SharedObjects;
			deeds: Deeds;
			dropped: Set<string>;
			scheduler: Scheduler;
			random: Random;
			weather: { lossRate: number };
		},
		actor: Actor,
	) {
		this.#objects = world.objects;
		this.#scheduler = world.scheduler;
		this.#random = world.random;
		this.#lossRate = world.weather.lossRate;
		this.#actor = actor;
		this.#deeds = world.deeds;
		this.#dropped = world.dropped;
	}

	put(key: string, data: Uint8Array): Promise<void> {
		const copy = data.slice();
		return this.#call(key, () => void this.#objects.set(key, copy));
	}

	create(key: string, data: Uint8Array): Promise<void> {
		const copy = data.slice();
		return this.#call(key, () => {
			if (this.#objects.has(key)) throw new SternaError("conflict", `${key} is there already`);
			this.#objects.set(key, copy);
			if (key.startsWith("moved/")) this.#deeds.packsMoved++;
			if (key.startsWith("collections/")) this.#deeds.collections++;
		});
	}

	get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
		return this.#call(key, () => {
			const object = this.#objects.get(key);
			if (!object) throw new SternaError("not_found", `there is no object ${key}`);
			return range ? object.slice(range.offset, range.offset + range.length) : object.slice();
		});
	}

	size(key: string): Promise<number | null> {
		return this.#call(key, () => this.#objects.get(key)?.length ?? null);
	}

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		const keys = () => [...this.#objects.keys()].filter((key) => key.startsWith(prefix));
		const expected = await this.#call(prefix, keys);
		const told = new Set<string>();
		while (expected.length > 0) {
			const page = expected.splice(0, pageSize);
			const found = page.filter((key) => this.#objects.has(key));
			for (const key of found) told.add(key);
			yield* found.map((key) => ({ key, sizeBytes: this.#objects.get(key)?.length ?? 0 }));
			if (expected.length > 0) await this.#call(prefix, () => {});
		}
		const late = keys().filter((key) => !told.has(key) && this.#random.chance(0.5));
		yield* late.map((key) => ({ key, sizeBytes: this.#objects.get(key)?.length ?? 0 }));
	}

	remove(key: string): Promise<void> {
		return this.#call(key, () => {
			const wasThere = this.#objects.delete(key);
			if (wasThere && key.startsWith("packs/")) this.#deeds.packsDeleted++;
			if (wasThere && this.#actor.name.startsWith("collector")) this.#dropped.add(key);
		});
	}

	async tidy(): Promise<void> {}

	async capacity() {
		return { capacityBytes: null, freeBytes: null };
	}

	async close(): Promise<void> {}

	#call<Result>(key: string, effect: () => Result): Promise<Result> {
		if (key !== "" && !key.endsWith("/")) checkStorageKey(key);
		if (!this.#random.chance(this.#lossRate)) return this.#scheduler.call(this.#actor, effect);
		const isDone = this.#random.chance(0.5);
		return this.#scheduler.call(this.#actor, () => {
			if (isDone) effect();
			throw new SternaError("unavailable", `${key}: the answer was lost`);
		});
	}
}
