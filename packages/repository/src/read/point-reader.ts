import type { RecoveryPoint } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import type { Manifest } from "../format/manifest.ts";
import type { ReaderId } from "../format/records.ts";
import { isHole, referenceBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import type { PointReader, UpkeepOptions } from "../repository.ts";
import { fanout } from "../tree/geometry.ts";
import { NodeSource } from "../tree/node-source.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import { fetchBlocks, giveBack } from "./block-fetch.ts";
import { type Hold, holdPoint, isFreed } from "./hold.ts";
import { frameName } from "./open-blocks.ts";
import { readVisiblePoint } from "./points.ts";
import { planReads, type WantedBlock } from "./read-plan.ts";
import { addWanted, restoreVolume } from "./restore.ts";

/** Plain blocks kept for reads that are smaller than a block. */
const keptBytes = 16 * 1024 * 1024;

interface OpenVolume {
	volumeId: VolumeId;
	sizeBytes: number;
	tree: TreeReader;
}

/** See `Repository.openPoint`. */
export async function openPoint(
	opened: Opened,
	pointId: PointId,
	reader?: { readerId: ReaderId },
): Promise<PointReader> {
	if (!reader) return new OpenPoint(opened, await readVisiblePoint(opened, pointId), null);
	const { manifest, hold } = await holdPoint(opened, { pointId, ...reader });
	return new OpenPoint(opened, manifest, hold);
}

class OpenPoint implements PointReader {
	readonly point: RecoveryPoint;
	readonly #opened: Opened;
	readonly #volumes: Map<VolumeId, OpenVolume>;
	readonly #kept = new Map<string, Uint8Array>();

	readonly #hold: Hold | null;

	constructor(opened: Opened, { point, roots }: Manifest, hold: Hold | null) {
		this.point = point;
		this.#hold = hold;
		this.#opened = opened;
		const nodes = new NodeSource(opened);
		this.#volumes = new Map(
			point.volumes.map(({ volumeId, sizeBytes }) => {
				const root = roots.find((each) => each.volumeId === volumeId)?.root ?? null;
				const tree = new TreeReader(nodes, { root, blocks: sizeBytes / opened.config.blockSizeBytes });
				return [volumeId, { volumeId, sizeBytes, tree }];
			}),
		);
	}

	async read(volumeId: VolumeId, offset: number, lengthBytes: number): Promise<Uint8Array> {
		const volume = this.#volume(volumeId, offset, lengthBytes);
		const result = new Uint8Array(lengthBytes);
		const size = this.#opened.config.blockSizeBytes;
		const place = (block: number, plain: Uint8Array) => {
			const from = Math.max(offset, block * size);
			const to = Math.min(offset + lengthBytes, (block + 1) * size);
			result.set(plain.subarray(from - block * size, to - block * size), from - offset);
		};
		const wanted: WantedBlock[] = [];
		const around: WantedBlock[] = [];
		const [first, end] = [Math.floor(offset / size), Math.ceil((offset + lengthBytes) / size)];
		await this.#explaining(volume, first, end, async () => {
			for await (const { from, to, leaf } of volume.tree.leaves(first, end)) {
				if (!leaf) continue;
				addWanted(wanted, leaf, from, to);
				const leafStart = Math.floor(from / fanout) * fanout;
				addWanted(around, leaf, leafStart, from);
				addWanted(around, leaf, to, leafStart + fanout);
			}
		});
		const missing = wanted.filter(({ block }) => {
			const kept = this.#keptBlock(`${volumeId} ${block}`);
			if (kept) place(block, kept);
			return !kept;
		});
		await Promise.all(
			planReads([...missing, ...this.#alongWith(missing, around, volumeId)], size).map(async (planned) => {
				const fetched = await fetchBlocks(this.#opened, planned);
				try {
					if (fetched.damaged.length > 0) throw await this.#missing(this.#damaged(volume, fetched.damaged));
					for (const { content, blocks } of fetched.pieces) {
						for (const [index, block] of blocks.entries()) {
							const plain = content.subarray(index * size, (index + 1) * size);
							if (block >= first && block < end) place(block, plain);
							this.#keep(`${volumeId} ${block}`, plain);
						}
					}
				} finally {
					giveBack(this.#opened, fetched);
				}
			}),
		);
		return result;
	}

	async *extents(volumeId: VolumeId, offset: number, lengthBytes: number) {
		const volume = this.#volume(volumeId, offset, lengthBytes);
		const size = this.#opened.config.blockSizeBytes;
		const end = offset + lengthBytes;
		const [firstBlock, endBlock] = [Math.floor(offset / size), Math.ceil(end / size)];
		const leaves = volume.tree.leaves(firstBlock, endBlock)[Symbol.asyncIterator]();
		const nextLeaf = () => this.#explaining(volume, firstBlock, endBlock, () => leaves.next());
		let run: { from: number; zero: boolean } | undefined;
		for (let next = await nextLeaf(); !next.done; next = await nextLeaf()) {
			const { from, to, leaf } = next.value;
			for (let block = from; block < to; block = leaf ? block + 1 : to) {
				const zero: boolean = !leaf || isHole(leaf, (block % fanout) * referenceBytes);
				if (run && run.zero === zero) continue;
				const at = Math.max(offset, block * size);
				if (run) yield { offset: run.from, lengthBytes: at - run.from, zero: run.zero };
				run = { from: at, zero };
			}
		}
		if (run) yield { offset: run.from, lengthBytes: end - run.from, zero: run.zero };
	}

	async restore(
		volumeId: VolumeId,
		sink: (offset: number, data: Uint8Array) => Promise<void>,
		options: UpkeepOptions,
	): Promise<void> {
		const volume = this.#volume(volumeId, 0, 0);
		const damaged = (blocks: readonly WantedBlock[]) => this.#damaged(volume, blocks);
		await this.#explaining(volume, 0, volume.tree.blocks, () =>
			restoreVolume(this.#opened, volume.tree, sink, { ...options, damaged }),
		);
	}

	async close(): Promise<void> {
		this.#kept.clear();
		await this.#hold?.stop();
	}

	#volume(volumeId: VolumeId, offset: number, lengthBytes: number): OpenVolume {
		const volume = this.#volumes.get(volumeId);
		if (!volume) {
			throw new SternaError("not_found", `the recovery point ${this.point.pointId} has no volume ${volumeId}`);
		}
		const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(lengthBytes) && offset >= 0 && lengthBytes >= 0;
		if (whole && offset + lengthBytes <= volume.sizeBytes) return volume;
		throw new SternaError("invalid", `bytes ${offset}-${offset + lengthBytes} are outside of volume ${volumeId}`);
	}

	/** A damaged tree node is told with the bytes that it hides. What a collection freed is no damage. */
	async #explaining<T>(volume: OpenVolume, first: number, end: number, read: () => Promise<T>): Promise<T> {
		try {
			return await read();
		} catch (error) {
			if (!(error instanceof SternaError) || error.code !== "invalid") throw error;
			if (error instanceof DamagedBytes) throw await this.#missing(error);
			const size = this.#opened.config.blockSizeBytes;
			throw await this.#missing(new DamagedBytes(volume.volumeId, first * size, end * size, this.point, error));
		}
	}

	async #missing(damage: DamagedBytes): Promise<SternaError> {
		const { pointId, guestName } = this.point;
		if (!(await isFreed(this.#opened, pointId))) return damage;
		return new SternaError("not_found", `recovery point ${pointId} of ${guestName} was removed while it was read`, {
			cure: "read another point",
			cause: damage,
		});
	}

	#damaged(volume: OpenVolume, blocks: readonly WantedBlock[]): DamagedBytes {
		const size = this.#opened.config.blockSizeBytes;
		const numbers = blocks.map(({ block }) => block);
		return new DamagedBytes(
			volume.volumeId,
			Math.min(...numbers) * size,
			(Math.max(...numbers) + 1) * size,
			this.point,
		);
	}

	/** Neighbours that are opened anyway, in the frames of what is missing: who reads on finds them kept. */
	#alongWith(missing: readonly WantedBlock[], around: readonly WantedBlock[], volumeId: VolumeId): WantedBlock[] {
		if (missing.length === 0) return [];
		const nameOf = ({ reference }: WantedBlock) => `${reference.packId} ${frameName(reference)}`;
		const frames = new Set(missing.map(nameOf));
		return around
			.filter((each) => frames.has(nameOf(each)) && !this.#kept.has(`${volumeId} ${each.block}`))
			.map((each) => ({ ...each, optional: true }));
	}

	#keptBlock(name: string): Uint8Array | undefined {
		const kept = this.#kept.get(name);
		if (!kept) return undefined;
		this.#kept.delete(name);
		this.#kept.set(name, kept);
		return kept;
	}

	#keep(name: string, plain: Uint8Array): void {
		this.#kept.set(name, plain.slice());
		const oldest = this.#kept.keys().next();
		if (this.#kept.size * this.#opened.config.blockSizeBytes > keptBytes && !oldest.done)
			this.#kept.delete(oldest.value);
	}
}

/** Bytes of a disk that cannot be read, though the repository answers. */
class DamagedBytes extends SternaError {
	constructor(volumeId: VolumeId, from: number, to: number, point: RecoveryPoint, cause?: unknown) {
		super(
			"invalid",
			`bytes ${from}-${to} of volume ${volumeId} in recovery point ${point.pointId} of ${point.guestName} are damaged or missing`,
			{ cure: "restore another point; the next whole backup stores the damaged blocks again", cause },
		);
	}
}
