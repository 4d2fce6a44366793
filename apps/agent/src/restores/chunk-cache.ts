import { KiB, MiB } from "@sterna/shared/units";

/** What is fetched at once: a guest that boots reads in small pieces that lie together. */
const chunkBytes = 512 * KiB;
const keptBytes = 64 * MiB;

type Read = (offset: number, lengthBytes: number) => Promise<Uint8Array>;

/**
 * Reads of one disk through a cache of whole chunks: the latest are kept, one that is asked for by several is fetched once,
 * and where two neighbours are read in order the next one is fetched ahead. Nothing that failed is kept.
 */
export class ChunkCache {
	readonly #sizeBytes: number;
	readonly #read: Read;
	readonly #chunks = new Map<number, Promise<Uint8Array>>();
	readonly #keptChunks: number;

	constructor(options: { sizeBytes: number; read: Read; keptBytes?: number }) {
		this.#sizeBytes = options.sizeBytes;
		this.#read = options.read;
		this.#keptChunks = Math.max(2, Math.floor((options.keptBytes ?? keptBytes) / chunkBytes));
	}

	async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
		// Large reads are in order already, and would push everything out.
		if (lengthBytes > chunkBytes) return this.#read(offset, lengthBytes);
		const result = new Uint8Array(lengthBytes);
		const end = offset + lengthBytes;
		for (let at = offset; at < end; ) {
			const index = Math.floor(at / chunkBytes);
			const chunk = await this.#chunk(index);
			const from = at - index * chunkBytes;
			const part = chunk.subarray(from, Math.min(chunk.length, from + end - at));
			result.set(part, at - offset);
			at += part.length;
		}
		return result;
	}

	#chunk(index: number): Promise<Uint8Array> {
		const isInOrder = this.#chunks.has(index - 1) && !this.#chunks.has(index + 1);
		const chunk = this.#fetch(index);
		if (isInOrder && (index + 1) * chunkBytes < this.#sizeBytes) void this.#fetch(index + 1).catch(() => {});
		return chunk;
	}

	#fetch(index: number): Promise<Uint8Array> {
		const known = this.#chunks.get(index);
		if (known) {
			this.#chunks.delete(index);
			this.#chunks.set(index, known);
			return known;
		}
		const offset = index * chunkBytes;
		const chunk = this.#read(offset, Math.min(chunkBytes, this.#sizeBytes - offset));
		this.#chunks.set(index, chunk);
		chunk.catch(() => {
			if (this.#chunks.get(index) === chunk) this.#chunks.delete(index);
		});
		for (const oldest of this.#chunks.keys()) {
			if (this.#chunks.size <= this.#keptChunks) break;
			this.#chunks.delete(oldest);
		}
		return chunk;
	}
}
