import { SternaError } from "@sterna/shared/errors";

/**
 * Where a repository's objects are: a folder, or a bucket. `storage/storage-contract.ts` is the suite that every kind passes.
 * Keys are made by this package: lower-case letters, digits, `.`, `-`, `_` and single slashes, each part beginning with a
 * letter or digit; anything else is `invalid`.
 *
 * Errors are `SternaError`s: `not_found`, `conflict`, `forbidden` (credentials, locked objects), `no_capacity` (full),
 * `unavailable` (out of reach, I/O error). After `unavailable` it is not known whether a write took place: whoever must
 * know looks again.
 */
export interface Storage {
	/** Writes an object whole: it is either there completely and durably, or not at all. Replaces what is there. */
	put(key: string, data: Uint8Array): Promise<void>;
	/** As `put`, and refuses a key that exists with `conflict`: of two writers at once exactly one succeeds. */
	create(key: string, data: Uint8Array): Promise<void>;
	/**
	 * The object, or a part of it: shorter than asked for where the object ends before (so a truncated object is seen by
	 * its reader, who knows what should be there). @throws `not_found`; `unavailable` when the transfer broke off.
	 */
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
	/**
	 * Keeps an object that is there from being deleted for as long from now on as a new one is; never for less long than it is
	 * kept already. Only where `locked`. @throws `not_found`; `forbidden` when the credentials do not allow it.
	 */
	extendLock?(key: string): Promise<void>;
	/** Takes away what writers that died left half-written. Harms no living writer beyond an `unavailable` that it may repeat. */
	tidy(): Promise<void>;
	close(): Promise<void>;
}

/** What a restore needs. Only this is locked: beats of sessions and records of collections must change. */
const lockedKeys = /^(config$|keys\/|packs\/|points\/|moved\/|canary\/)/;

/** Whether a place that locks what is written locks this object. */
export function isLockedKey(key: string): boolean {
	return lockedKeys.test(key);
}

const storageKey = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/;

/** Refuses what is not a key of this package, so that nothing that was read from a repository becomes a path. @throws `invalid` */
export function checkStorageKey(key: string): void {
	if (key.length > 300 || !storageKey.test(key))
		throw new SternaError("invalid", `"${key.slice(0, 100)}" is not a name of an object in a repository`);
}

/** Refuses what is not a folder of keys: empty, or a key and a slash. @throws `invalid` */
export function checkStoragePrefix(prefix: string): void {
	if (prefix === "") return;
	if (!prefix.endsWith("/"))
		throw new SternaError(
			"invalid",
			`"${prefix.slice(0, 100)}" is not a folder in a repository: a slash at its end is missing`,
		);
	checkStorageKey(prefix.slice(0, -1));
}
