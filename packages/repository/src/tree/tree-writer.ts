import { SternaError } from "@sterna/shared/errors";
import { isHole, type Reference, referenceBytes, writeReference } from "../format/reference.ts";
import { fanout, nodeBytes, nodeIndex, slotOf, spanBlocks, treeDepth } from "./geometry.ts";
import type { TreeReader } from "./tree-reader.ts";

/** Takes nodes and says where they are. */
export interface NodeStore {
	store(node: Uint8Array): Reference;
}

interface OpenNode {
	index: number;
	references: Uint8Array;
	/** The same node of the parent's tree, and what leads to it. */
	parent: { references: Uint8Array; reference: Reference } | null;
}

/**
 * Builds a volume's tree from blocks that come in rising order. It has one node of each level open: from the leaf at hand up
 * to the root. What is not set is inherited from the parent's tree, or is zeros. A node that is the same as the parent's is
 * not stored again.
 */
export class TreeWriter {
	readonly #store: NodeStore;
	readonly #blocks: number;
	readonly #depth: number;
	readonly #inherit: boolean;
	#parent: TreeReader | null;
	/** By level, 1 the leaf; what is above the highest entry is not open. */
	readonly #open: (OpenNode | null)[];

	/** `inherit` needs a parent that is not larger than this disk. */
	constructor(store: NodeStore, tree: { blocks: number; parent: TreeReader | null; inherit: boolean }) {
		this.#store = store;
		this.#blocks = tree.blocks;
		this.#depth = treeDepth(tree.blocks);
		this.#parent = tree.parent;
		this.#inherit = tree.inherit;
		this.#open = Array.from({ length: this.#depth + 1 }, () => null);
	}

	/** Blocks must rise. */
	async set(block: number, reference: Reference | null): Promise<void> {
		await this.#openPath(1, block);
		this.#put(1, block, reference);
	}

	/** Zeros from block `from` up to `to`; whole subtrees at once. */
	async zero(from: number, to: number): Promise<void> {
		// Behind the end of the disk there is nothing, so the last subtree may be dropped whole.
		const end = to === this.#blocks ? spanBlocks(this.#depth + 1) : to;
		for (let block = from; block < end; ) {
			let level = 1;
			while (level < this.#depth && block % spanBlocks(level + 1) === 0 && block + spanBlocks(level + 1) <= end)
				level++;
			await this.#openPath(level, block);
			this.#put(level, block, null);
			block += spanBlocks(level);
		}
	}

	/** What leads to the whole tree; null: all zeros. */
	async finish(): Promise<Reference | null> {
		await this.#openPath(this.#depth, 0);
		for (let level = 1; level < this.#depth; level++) this.#close(level);
		return this.#closed(this.#depth);
	}

	#put(level: number, block: number, reference: Reference | null): void {
		const node = this.#open[level];
		if (!node) throw new SternaError("internal", "the node of a block is not open");
		writeReference(node.references, slotOf(level, block) * referenceBytes, reference);
	}

	/** Opens the nodes of `level` and above that lead to the block; closes all others. */
	async #openPath(level: number, block: number): Promise<void> {
		if (this.#parent && this.#inherit && this.#parent.depth < this.#depth) this.#raiseParent();
		for (let each = 1; each < this.#depth; each++) {
			if (each < level || this.#open[each]?.index !== nodeIndex(each, block)) this.#close(each);
		}
		for (let each = this.#depth; each >= level; each--) {
			this.#open[each] ??= await this.#opened(each, nodeIndex(each, block));
		}
	}

	async #opened(level: number, index: number): Promise<OpenNode> {
		const parent = await this.#parentNode(level, index);
		const references = this.#inherit && parent ? new Uint8Array(parent.references) : new Uint8Array(nodeBytes);
		return { index, references, parent };
	}

	async #parentNode(level: number, index: number): Promise<OpenNode["parent"]> {
		if (!this.#parent || level > this.#parent.depth) return null;
		if (index * spanBlocks(level + 1) >= this.#parent.blocks) return null;
		const reference = await this.#parent.reference(level, index);
		const references = await this.#parent.node(level, index);
		return reference && references && { reference, references };
	}

	#close(level: number): void {
		const node = this.#open[level];
		if (!node) return;
		const reference = this.#closed(level);
		this.#put(level + 1, node.index * spanBlocks(level + 1), reference);
		this.#open[level] = null;
	}

	#closed(level: number): Reference | null {
		const node = this.#open[level];
		if (!node || isEmpty(node.references)) return null;
		if (node.parent && Buffer.compare(node.parent.references, node.references) === 0) return node.parent.reference;
		return this.#store.store(node.references);
	}

	/** A disk that grew past what its tree could hold: the old root becomes the first reference of new levels above it. */
	#raiseParent(): void {
		const parent = this.#parent;
		if (!parent) return;
		let root = parent.root;
		const raised = new Map<number, Uint8Array>();
		for (let level = parent.depth + 1; level <= this.#depth && root; level++) {
			const node = new Uint8Array(nodeBytes);
			writeReference(node, 0, root);
			raised.set(level, node);
			root = this.#store.store(node);
		}
		this.#parent = parent.grown(root, this.#blocks, raised);
	}
}

function isEmpty(references: Uint8Array): boolean {
	for (let slot = 0; slot < fanout; slot++) if (!isHole(references, slot * referenceBytes)) return false;
	return true;
}
