import { SternaError } from "@sterna/shared/errors";
import { checkStorageKey, type Storage } from "../storage.ts";

/** A storage in memory, for tests: what a folder or a bucket promises, without one. */
export class MemoryStorage implements Storage {
	readonly objects = new Map<string, Uint8Array>();
	readonly locked: boolean = false;

	async put(key: string, data: Uint8Array): Promise<void> {
		checkStorageKey(key);
		this.objects.set(key, new Uint8Array(data));
	}

	async create(key: string, data: Uint8Array): Promise<void> {
		checkStorageKey(key);
		if (this.objects.has(key)) throw new SternaError("conflict", `${key} is there already`);
		this.objects.set(key, new Uint8Array(data));
	}

	async get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
		checkStorageKey(key);
		const object = this.objects.get(key);
		if (!object) throw new SternaError("not_found", `there is no object ${key}`);
		if (!range) return object.slice();
		return object.slice(range.offset, range.offset + range.length);
	}

	async size(key: string): Promise<number | null> {
		checkStorageKey(key);
		return this.objects.get(key)?.length ?? null;
	}

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		for (const [key, data] of [...this.objects]) {
			if (key.startsWith(prefix) && this.objects.has(key)) yield { key, sizeBytes: data.length };
		}
	}

	async remove(key: string): Promise<void> {
		checkStorageKey(key);
		this.objects.delete(key);
	}

	async tidy(): Promise<void> {}

	async capacity() {
		return { capacityBytes: null, freeBytes: null };
	}

	async close(): Promise<void> {}
}
