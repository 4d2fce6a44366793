import { SternaError } from "@sterna/shared/errors";
import type { Storage } from "../storage.ts";

/** A storage in memory, for tests: what a folder or a bucket promises, without one. */
export class MemoryStorage implements Storage {
	readonly objects = new Map<string, Uint8Array>();
	readonly locked = false;

	async put(key: string, data: Uint8Array): Promise<void> {
		this.objects.set(checked(key), data.slice());
	}

	async create(key: string, data: Uint8Array): Promise<void> {
		if (this.objects.has(checked(key))) throw new SternaError("conflict", `${key} is there already`);
		this.objects.set(key, data.slice());
	}

	async get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
		const object = this.objects.get(checked(key));
		if (!object) throw new SternaError("not_found", `there is no object ${key}`);
		if (!range) return object.slice();
		if (range.offset + range.length > object.length) {
			throw new SternaError("unavailable", `${key} has ${object.length} bytes, fewer than asked for`);
		}
		return object.slice(range.offset, range.offset + range.length);
	}

	async size(key: string): Promise<number | null> {
		return this.objects.get(checked(key))?.length ?? null;
	}

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		for (const [key, data] of [...this.objects]) {
			if (key.startsWith(prefix) && this.objects.has(key)) yield { key, sizeBytes: data.length };
		}
	}

	async remove(key: string): Promise<void> {
		this.objects.delete(checked(key));
	}

	async tidy(): Promise<void> {}

	async capacity() {
		return { capacityBytes: null, freeBytes: null };
	}

	async close(): Promise<void> {}
}

function checked(key: string): string {
	if (/^[a-z0-9._-]+(\/[a-z0-9._-]+)*$/.test(key) && !key.split("/").some((part) => part === "." || part === "..")) {
		return key;
	}
	throw new SternaError("invalid", `"${key}" is not a key of this package`);
}
