/**
 * Where a repository's objects are: a folder, or a bucket. `storage-contract.ts` is the suite that every kind passes.
 * Keys are made by this package: lower-case letters, digits, `.`, `-`, `_` and single slashes; anything else is `invalid`.
 *
 * Errors are `SternaError`s: `not_found`, `conflict`, `forbidden` (credentials, locked objects), `no_capacity` (full),
 * `unavailable` (out of reach, I/O error), `cancelled`.
 */
export interface Storage {
	/** Writes an object whole: it is either there completely and durably, or not at all. Replaces what is there. */
	put(key: string, data: Uint8Array): Promise<void>;
	/** As `put`, and refuses a key that exists with `conflict`: of two writers at once exactly one succeeds. */
	create(key: string, data: Uint8Array): Promise<void>;
	/** @throws `not_found`; `unavailable` when fewer bytes are there than asked for inside the object. */
	get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array>;
	/** Size of the object; null when there is none. */
	size(key: string): Promise<number | null>;
	/** Every object whose key begins with `prefix` (empty, or ending in a slash), in no order. Sees every object that was complete before the call. */
	list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }>;
	/** Removes an object; none: no change. A locked one: `forbidden`. */
	remove(key: string): Promise<void>;
	/** Bytes of the place, where it says so. */
	capacity(): Promise<{ capacityBytes: number | null; freeBytes: number | null }>;
	/** Whether new objects are kept from being deleted, by configuration; the canary proves it. */
	readonly locked: boolean;
	close(): Promise<void>;
}
