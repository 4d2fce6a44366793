import { createSecretKey, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { getuid } from "node:process";
import { expect, test } from "vitest";
import { startCodec } from "./codec.ts";

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
