import type { NbdExport, NbdExtent } from "@sterna/nbd/nbd";
import type { VolumeId } from "@sterna/shared/ids";
import type { EndSnapshot, VolumeTracking } from "../hypervisor.ts";
import type { SimulatedBitmap, SimulatedVolume } from "./record.ts";

/** All that a simulated guest writes is in the first block. */
export const blockBytes = 65_536;
const countOffset = 512;

/** The bytes of a simulated volume: zeros, but for the count in its second sector. */
export function readContent(count: number, offset: number, lengthBytes: number): Buffer {
	const bytes = Buffer.alloc(lengthBytes);
	const word = Buffer.alloc(4);
	word.writeUInt32LE(count);
	for (const [index, byte] of word.entries()) {
		const at = countOffset + index - offset;
		if (at >= 0 && at < lengthBytes) bytes[at] = byte;
	}
	return bytes;
}

export function contentOf({ simulatedVolumeBytes, count }: SimulatedVolume): Buffer {
	return readContent(count, 0, simulatedVolumeBytes);
}

export function beginBitmap(name: string, count: number): SimulatedBitmap {
	return { name, beganAt: count, endedAt: null, dirty: false, inconsistent: false };
}

export function isDirty({ beganAt, endedAt, dirty }: SimulatedBitmap, count: number): boolean {
	return dirty || (endedAt ?? count) !== beganAt;
}

export function trackingOf(volumeId: VolumeId, volume: SimulatedVolume): VolumeTracking {
	return {
		volumeId,
		sizeBytes: volume.simulatedVolumeBytes,
		allocatedBytes: volume.count > 0 ? blockBytes : 0,
		bitmaps: volume.bitmaps.map((bitmap) => ({
			name: bitmap.name,
			granularityBytes: blockBytes,
			recording: bitmap.endedAt === null,
			inconsistent: bitmap.inconsistent,
			dirtyBytes: isDirty(bitmap, volume.count) ? blockBytes : 0,
		})),
	};
}

/** The bitmaps as the end of a snapshot leaves them, from whatever there is. */
export function settled(
	volume: SimulatedVolume,
	wanted: Pick<EndSnapshot, "mark" | "outcome"> & { since: string | null; stale: readonly string[] },
): SimulatedBitmap[] {
	const { mark, since, stale, outcome } = wanted;
	const begun = volume.bitmaps.find(({ name }) => name === mark);
	const ended = volume.bitmaps.find(({ name }) => name === since);
	const others = volume.bitmaps.filter((bitmap) => bitmap !== begun && bitmap !== ended);
	if (outcome === "committed") {
		const kept = others.filter(({ name }) => !stale.includes(name));
		return begun && !begun.inconsistent ? [...kept, begun] : kept;
	}
	if (!ended || ended.inconsistent || begun?.inconsistent) return others;
	if (!begun) return ended.endedAt === null ? [...others, ended] : others;
	const dirty = isDirty(ended, volume.count) || isDirty(begun, volume.count);
	return [...others, { ...ended, endedAt: null, dirty }];
}

/** One instant of a volume, with what changed before it. */
export function snapshotExport(what: {
	name: string;
	sizeBytes: number;
	count: number;
	context: string | null;
	isDirty: boolean;
}): NbdExport {
	const { name, sizeBytes, count, context } = what;
	const changes = (offset: number, lengthBytes: number) => split(offset, lengthBytes, what.isDirty ? 1 : 0);
	return {
		name,
		sizeBytes,
		read: async (offset, lengthBytes) => readContent(count, offset, lengthBytes),
		async *extents(offset, lengthBytes) {
			for await (const { flags, ...extent } of split(offset, lengthBytes, 1)) yield { ...extent, zero: flags === 0 };
		},
		...(context === null ? {} : { contexts: new Map([[context, changes]]) }),
	};
}

/** The first block with the flags that are given, the rest without. */
async function* split(offset: number, lengthBytes: number, flags: number): AsyncGenerator<NbdExtent> {
	const end = offset + lengthBytes;
	const border = Math.max(offset, Math.min(blockBytes, end));
	if (offset < border) yield { offset, lengthBytes: border - offset, flags };
	if (border < end) yield { offset: border, lengthBytes: end - border, flags: 0 };
}
