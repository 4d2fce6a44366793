import { createHash } from "node:crypto";
import type { PointId } from "@sterna/shared/ids";
import { frameWord } from "../format/frame.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { readVisiblePoint } from "../read/points.ts";
import { walkPoint } from "../tree/walk.ts";

/** Text that compresses, another one for each seed. */
export function textBlock(seed: number, sizeBytes: number): Buffer {
	const lines: string[] = [];
	for (let line = 0, length = 0; length < sizeBytes; line++) {
		const words = createHash("sha256").update(`${seed} ${line}`).digest("hex").slice(0, 12);
		lines.push(`the guest ${seed} wrote ${words} into its journal\n`);
		length += lines.at(-1)?.length ?? 0;
	}
	return Buffer.from(lines.join("")).subarray(0, sizeBytes);
}

/** Where the blocks of a point's disks are, by their place on the disk, as its trees say. */
export async function blocksOf(opened: Opened, pointId: PointId): Promise<Map<number, Reference>> {
	const manifest = await readVisiblePoint(opened, pointId);
	const blocks = new Map<number, Reference>();
	for await (const { is, reference, fromByte } of walkPoint(opened, manifest, { signal: AbortSignal.any([]) })) {
		if (is === "block") blocks.set(fromByte / opened.config.blockSizeBytes, reference);
	}
	return blocks;
}

/** The frame that a block is in: the same for all its blocks. */
export function frameOf({ packId, offset, ...part }: Reference): string {
	return `${packId} ${offset} ${frameWord({ ...part, frameIndex: 0 })}`;
}
