import { SternaError } from "@sterna/shared/errors";
import { openChecked } from "../codec/jobs.ts";
import { frameKeyNumber } from "../format/frame.ts";
import { packKey } from "../format/pack-id.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { nodeBytes } from "./geometry.ts";

/** Nodes that are neighbours in a tree are neighbours in their pack: one read of this size serves many. */
const pieceBytes = 64 * 1024;
const keptPieces = 64;

/** Tree nodes, checked. Reads pieces of tree packs and keeps the last 4 MiB of them. */
export class NodeSource {
	readonly #opened: Opened;
	readonly #pieces = new Map<string, Promise<Uint8Array | null>>();

	constructor(opened: Opened) {
		this.#opened = opened;
	}

	/** The plain bytes of a node. @throws {SternaError} `invalid` when it is damaged or missing; those of the storage. */
	async read(reference: Reference): Promise<Uint8Array> {
		// Where a note leads to may have been compacted since: so each place is followed until none leads on.
		for (let at: Reference | null = reference; at; at = await this.#opened.packs.moved(at)) {
			const node = await this.#tryRead(at);
			if (node) return node;
		}
		throw new SternaError(
			"invalid",
			`a tree node is missing or damaged: ${packKey(reference.packId)} at ${reference.offset}`,
		);
	}

	async #tryRead(reference: Reference): Promise<Uint8Array | null> {
		// Nodes are sealed one by one.
		const sealed = reference.frameBlocks === 1 ? await this.#sealed(reference) : null;
		if (!sealed) return null;
		const { sealing } = this.#opened;
		const keyNumber = frameKeyNumber(sealed) ?? -1;
		const key = sealing.packKey(reference.packId, keyNumber);
		if (!key) return null;
		const keys = new Map([[keyNumber, key]]);
		const job = { hashKey: sealing.hashKey, plainBytes: nodeBytes, keys };
		return openChecked(job, sealed, reference);
	}

	/** Null when the pack ends before, or is gone. */
	async #sealed({ packId, offset, storedBytes }: Reference): Promise<Uint8Array | null> {
		const first = Math.floor(offset / pieceBytes);
		const last = Math.floor((offset + storedBytes - 1) / pieceBytes);
		const pieces: Uint8Array[] = [];
		for (let index = first; index <= last; index++) {
			const piece = await this.#piece(`${packKey(packId)}`, index);
			if (!piece) return null;
			pieces.push(piece);
		}
		const bytes = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
		const at = offset - first * pieceBytes;
		return at + storedBytes <= bytes.length ? bytes.subarray(at, at + storedBytes) : null;
	}

	#piece(key: string, index: number): Promise<Uint8Array | null> {
		const name = `${key} ${index}`;
		const known = this.#pieces.get(name);
		if (known) {
			this.#pieces.delete(name);
			this.#pieces.set(name, known);
			return known;
		}
		const piece = this.#opened.storage
			.get(key, { offset: index * pieceBytes, length: pieceBytes })
			.catch((error: unknown) => {
				this.#pieces.delete(name);
				if (error instanceof SternaError && error.code === "not_found") return null;
				throw error;
			});
		this.#pieces.set(name, piece);
		const oldest = this.#pieces.keys().next();
		if (this.#pieces.size > keptPieces && !oldest.done) this.#pieces.delete(oldest.value);
		return piece;
	}
}
