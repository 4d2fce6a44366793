import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { Manifest } from "../format/manifest.ts";
import { isHole, type Reference, readReference, referenceBytes } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { checkInsideDisk, fanout, spanBlocks, treeDepth } from "./geometry.ts";
import { NodeSource } from "./node-source.ts";

/** One thing that a point needs: a node of a volume's tree or a block, where it is, and which bytes of the disk hang on it. */
export interface NeededReference {
	is: "node" | "block";
	reference: Reference;
	volumeId: VolumeId;
	fromByte: number;
	toByte: number;
}

export interface WalkOptions {
	signal: AbortSignal;
	/** Asked before a node is read; false leaves out all that is under it (it was walked with another point). */
	enter?(node: NeededReference): boolean;
	/** Told of a node that cannot be read; the walk goes on beside it. Without it the walk rejects: nothing is decided on doubt. */
	unreadable?(node: NeededReference, error: SternaError): void;
	/** Shared between walks, so that trees that have nodes in common are read from the storage once. */
	nodes?: NodeSource;
}

/**
 * Everything that a point needs, nodes before what is under them, in the order of the disk.
 * @throws {SternaError} `invalid` for a damaged node when nobody takes it; `cancelled`; those of the storage.
 */
export async function* walkPoint(
	opened: Opened,
	manifest: Manifest,
	options: WalkOptions,
): AsyncIterable<NeededReference> {
	const nodes = options.nodes ?? new NodeSource(opened);
	for (const { volumeId, root } of manifest.roots) {
		const sizeBytes = manifest.point.volumes.find((volume) => volume.volumeId === volumeId)?.sizeBytes ?? 0;
		const blocks = sizeBytes / opened.config.blockSizeBytes;
		if (root) yield* walkNode({ opened, nodes, options, volumeId, blocks }, root, treeDepth(blocks), 0);
	}
}

interface Walk {
	opened: Opened;
	nodes: NodeSource;
	options: WalkOptions;
	volumeId: VolumeId;
	blocks: number;
}

async function* walkNode(
	walk: Walk,
	reference: Reference,
	level: number,
	index: number,
): AsyncIterable<NeededReference> {
	if (walk.options.signal.aborted) throw new SternaError("cancelled", "the walk through a point was cancelled");
	const node = needed(walk, "node", reference, index * spanBlocks(level + 1), spanBlocks(level + 1));
	yield node;
	if (walk.options.enter && !walk.options.enter(node)) return;
	const references = await readNode(walk, node, level, index);
	if (!references) return;
	for (let slot = 0; slot < fanout; slot++) {
		const at = slot * referenceBytes;
		const child = isHole(references, at) ? null : readReference(references, at);
		if (!child) continue;
		const childIndex = index * fanout + slot;
		if (level > 1) yield* walkNode(walk, child, level - 1, childIndex);
		else yield needed(walk, "block", child, childIndex, 1);
	}
}

async function readNode(walk: Walk, node: NeededReference, level: number, index: number): Promise<Uint8Array | null> {
	try {
		const references = await walk.nodes.read(node.reference);
		checkInsideDisk(references, { level, index }, walk.blocks);
		return references;
	} catch (error) {
		if (!walk.options.unreadable || !(error instanceof SternaError) || error.code !== "invalid") throw error;
		walk.options.unreadable(node, error);
		return null;
	}
}

function needed(
	{ volumeId, blocks, opened }: Walk,
	is: "node" | "block",
	reference: Reference,
	firstBlock: number,
	spanned: number,
): NeededReference {
	const { blockSizeBytes } = opened.config;
	const toByte = Math.min(firstBlock + spanned, blocks) * blockSizeBytes;
	return { is, reference, volumeId, fromByte: firstBlock * blockSizeBytes, toByte };
}
