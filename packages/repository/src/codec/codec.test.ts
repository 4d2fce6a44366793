import { createSecretKey, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { getuid } from "node:process";
import { expect, onTestFinished, test } from "vitest";
import { inlineCodec } from "../testing/inline-codec.ts";
import { startCodec } from "./codec.ts";
import { sealedBatchBytes } from "./jobs.ts";

/** Of every thread of this process (proc(5), /proc/pid/stat: field 19). */
function nicenesses(): number[] {
	return readdirSync("/proc/self/task").map((id) => {
		const fields = readFileSync(`/proc/self/task/${id}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
		return Number(fields[16]);
	});
}

test.skipIf(getuid?.() !== 0)(
	"saving stands behind guests for a processor; reading, for which one may wait, does not",
	async () => {
		const codec = startCodec();
		try {
			const hashKey = createSecretKey(randomBytes(32));
			await codec.hash({ is: "hash", hashKey, blockSizeBytes: 65_536, content: new Uint8Array(65_536) });
			expect(Math.max(...nicenesses())).toBe(10);
			const nothing = () => new Uint8Array(0);
			const open = { is: "open", hashKey, plainBytes: 65_536, keys: new Map() } as const;
			await codec.open({ ...open, frames: [], sealed: nothing(), hashes: nothing(), content: nothing() });
			expect(Math.max(...nicenesses())).toBeLessThan(10);
		} finally {
			await codec.close();
		}
	},
);

test("what lies in rooms of the codec is hashed, sealed and opened where it is, like in the thread that asks", async () => {
	const codec = startCodec();
	onTestFinished(() => codec.close());
	const [hashKey, key] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];
	const [blocks, plainBytes] = [16, 65_536];
	const room = codec.room(blocks * plainBytes);
	const plain = randomBytes(3 * plainBytes).fill(7, 0, plainBytes);
	// Not at the beginning of the room, and not to its end.
	const content = room.subarray(plainBytes, 4 * plainBytes);
	content.set(plain);

	const { hashes } = await codec.hash({ is: "hash", hashKey, blockSizeBytes: plainBytes, content });
	const inline = await inlineCodec().hash({ is: "hash", hashKey, blockSizeBytes: plainBytes, content: plain });
	expect(hashes).toEqual(inline.hashes);

	const seal = { is: "seal", blockSizeBytes: plainBytes, key, keyNumber: 1, firstOrdinal: 0 } as const;
	const sealed = codec.room(sealedBatchBytes(3, plainBytes));
	const made = await codec.seal({ ...seal, content, blocks: [0, 1, 2], sealed });
	expect(made.content.buffer).toBe(room.buffer);
	expect(made.sealed.buffer).toBe(sealed.buffer);

	const members = [0, 1, 2].map((index) => ({ frameIndex: index, wanted: index }));
	const frames = made.stored.map(({ blocks, ...frame }) => ({ ...frame, frameBlocks: blocks, at: 0, members }));
	const target = codec.room(blocks * plainBytes).fill(1);
	const common = { is: "open", hashKey, plainBytes, keys: new Map([[1, key]]), hashes } as const;
	const opened = await codec.open({ ...common, sealed: made.sealed, frames, content: target });
	expect(opened.damaged).toEqual([]);
	expect(Buffer.compare(target.subarray(0, plain.length), plain)).toBe(0);
	expect(target[plain.length]).toBe(1);
});

test("a room that was given back is lent again, other memory is not", async () => {
	const codec = startCodec();
	onTestFinished(() => codec.close());
	const first = codec.room(4096);
	expect(codec.room(4096).buffer).not.toBe(first.buffer);
	codec.giveBack(first.subarray(100));
	codec.giveBack(first);
	codec.giveBack(new Uint8Array(4096));
	expect(codec.room(8192).buffer).not.toBe(first.buffer);
	expect(codec.room(4095).buffer).toBe(first.buffer);
	expect(codec.room(4096).buffer).not.toBe(first.buffer);
});
