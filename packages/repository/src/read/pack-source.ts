import { SternaError } from "@sterna/shared/errors";
import { decodeForwarding, type Forwarding, placeKey } from "../format/forwarding.ts";
import { type DirectoryEntry, packTrailerBytes, parseDirectory, parseTrailer } from "../format/pack.ts";
import { type PackId, packKey } from "../format/pack-id.ts";
import { movedKey } from "../format/records.ts";
import type { Reference } from "../format/reference.ts";
import type { Sealing } from "../format/sealing.ts";
import type { Storage } from "../storage.ts";
import { plainBytesOf } from "../tree/geometry.ts";

/** Why bytes of a pack cannot be had although the storage answers. */
export type PackDamage = "missing" | "truncated";

const keptNotes = 64;
/** A block moves once per compaction; more hops than this are a circle. */
const maxHops = 32;

/** Bytes of packs, and where the blocks of a compacted pack have gone. */
export class PackSource {
	readonly #storage: Storage;
	readonly #sealing: Sealing;
	readonly #blockSizeBytes: number;
	readonly #notes = new Map<PackId, Forwarding>();

	constructor(storage: Storage, sealing: Sealing, blockSizeBytes: number) {
		this.#storage = storage;
		this.#sealing = sealing;
		this.#blockSizeBytes = blockSizeBytes;
	}

	/** Bytes [offset, offset + length) of a pack. @throws {SternaError} those of the storage: out of reach is no damage. */
	async range(packId: PackId, offset: number, length: number): Promise<Uint8Array | PackDamage> {
		const key = packKey(packId);
		try {
			const bytes = await this.#storage.get(key, { offset, length });
			return bytes.length === length ? bytes : "truncated";
		} catch (error) {
			if (error instanceof SternaError && error.code === "not_found") return "missing";
			throw error;
		}
	}

	/** What a pack holds. @throws {SternaError} `not_found`; `invalid` naming the pack; those of the storage. */
	async directory(packId: PackId, packBytes: number): Promise<DirectoryEntry[]> {
		const key = packKey(packId);
		const tailBytes = Math.min(packBytes, 32 * 1024);
		const tail = await this.#storage.get(key, { offset: packBytes - tailBytes, length: tailBytes });
		const { offset, length } = parseTrailer(packId, packBytes, tail);
		const sealed =
			length + packTrailerBytes <= tailBytes
				? tail.subarray(tailBytes - packTrailerBytes - length, tailBytes - packTrailerBytes)
				: await this.#storage.get(key, { offset, length });
		const plainBytes = plainBytesOf(packId, this.#blockSizeBytes);
		return parseDirectory(packId, this.#sealing, { sealed, offset, plainBytes });
	}

	/** Where the block is after compactions; null when no note tells of it: it is where the reference says, or lost. */
	async moved(reference: Reference): Promise<Reference | null> {
		let found: Reference | null = null;
		for (let hop = 0, from = reference; hop < maxHops; hop++) {
			const to = (await this.#note(from.packId))?.get(placeKey(from));
			if (!to) return found;
			from = found = { hash: from.hash, ...to };
		}
		throw new SternaError("invalid", `the notes of compacted packs lead in a circle, beginning at ${reference.packId}`);
	}

	async #note(packId: PackId): Promise<Forwarding | null> {
		const known = this.#notes.get(packId);
		if (known) return known;
		const key = movedKey(packId);
		let bytes: Uint8Array;
		try {
			bytes = await this.#storage.get(key);
		} catch (error) {
			if (error instanceof SternaError && error.code === "not_found") return null;
			throw error;
		}
		const note = decodeForwarding(key, this.#sealing.openObject(key, bytes));
		this.#notes.set(packId, note);
		const oldest = this.#notes.keys().next();
		if (this.#notes.size > keptNotes && !oldest.done) this.#notes.delete(oldest.value);
		return note;
	}
}
