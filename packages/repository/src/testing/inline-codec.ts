import type { Codec } from "../codec/codec.ts";
import { runHash, runOpen, runSeal } from "../codec/jobs.ts";

/**
 * A codec in the thread that asks: for tests that need every step in an order that they choose. Rooms that were given back are
 * spoilt and lent again at once, so that whoever still looks at one reads what is not there.
 */
export function inlineCodec(): Codec {
	const lent = new Map<ArrayBufferLike, boolean>();
	const spare: Uint8Array[] = [];
	return {
		room(lengthBytes) {
			const index = spare.findLastIndex(({ length }) => length >= lengthBytes);
			const [kept] = index < 0 ? [] : spare.splice(index, 1);
			const room = kept ?? new Uint8Array(lengthBytes);
			lent.set(room.buffer, true);
			return room.subarray(0, lengthBytes);
		},
		giveBack({ buffer }) {
			const isLent = lent.get(buffer);
			if (isLent === undefined) return;
			if (!isLent) throw new Error("a room was given back twice");
			lent.set(buffer, false);
			spare.push(new Uint8Array(buffer).fill(0xdb));
		},
		hash: async (job) => runHash(job),
		seal: async (job) => runSeal(job),
		open: async (job) => runOpen(job),
		close: async () => {},
	};
}
