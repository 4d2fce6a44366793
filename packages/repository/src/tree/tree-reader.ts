import { SternaError } from "@sterna/shared/errors";
import { isHole, type Reference, readReference, referenceBytes } from "../format/reference.ts";
import { checkInsideDisk, fanout, nodeIndex, slotOf, spanBlocks, treeDepth } from "./geometry.ts";
import type { NodeSource } from "./node-source.ts";

const keptNodes = 256;

/** The tree of one volume of one point. Keeps the nodes used last, at most 0.5 MiB. */
export class TreeReader {
	readonly root: Reference | null;
	readonly blocks: number;
	readonly depth: number;
	readonly #source: NodeSource;
	readonly #forgiving: boolean;
	/** Nodes that are not stored yet, by level; index 0. */
	readonly #raised: Map<number, Uint8Array>;
	readonly #nodes = new Map<string, Promise<Uint8Array | null>>();

	/** `forgiving`: what cannot be read counts as zeros. For a disk that is compared with its parent, and inherits nothing. */
	constructor(
		source: NodeSource,
		tree: { root: Reference | null; blocks: number; forgiving?: boolean },
		raised: Map<number, Uint8Array> = new Map(),
	) {
		this.#source = source;
		this.#forgiving = tree.forgiving ?? false;
		this.#raised = raised;
		this.root = tree.root;
		this.blocks = tree.blocks;
		this.depth = treeDepth(tree.blocks);
	}

	/** A node's references; null: all under it is zeros. @throws {SternaError} `invalid` naming the blocks that cannot be found. */
	node(level: number, index: number): Promise<Uint8Array | null> {
		const name = `${level} ${index}`;
		const known = this.#nodes.get(name);
		if (known) {
			this.#nodes.delete(name);
			this.#nodes.set(name, known);
			return known;
		}
		const node = this.#read(level, index);
		node.catch(() => this.#nodes.delete(name));
		this.#nodes.set(name, node);
		const oldest = this.#nodes.keys().next();
		if (this.#nodes.size > keptNodes && !oldest.done) this.#nodes.delete(oldest.value);
		return node;
	}

	/** What leads to a node, or, at level 0, to a block. Null: zeros. */
	async reference(level: number, index: number): Promise<Reference | null> {
		if (level === this.depth) return index === 0 ? this.root : null;
		if (level > this.depth) throw new SternaError("internal", `level ${level} of a tree of ${this.depth}`);
		const node = await this.node(level + 1, Math.floor(index / fanout));
		return node && readReference(node, (index % fanout) * referenceBytes);
	}

	/**
	 * The references of blocks [from, to), in order, leaf by leaf. Holes are told as runs without a leaf, joined over whole
	 * subtrees, so that an empty disk costs nothing.
	 */
	async *leaves(from: number, to: number): AsyncIterable<{ from: number; to: number; leaf: Uint8Array | null }> {
		for (let block = from; block < to; ) {
			const { leaf, end } = await this.#leafOrHole(block);
			const until = Math.min(end, to);
			yield { from: block, to: until, leaf };
			block = until;
		}
	}

	/** The same tree as that of a larger disk: `raised` are the nodes above the old root, by level, the last one led to by `root`. */
	grown(root: Reference | null, blocks: number, raised: Map<number, Uint8Array>): TreeReader {
		return new TreeReader(this.#source, { root, blocks, forgiving: this.#forgiving }, raised);
	}

	async #leafOrHole(block: number): Promise<{ leaf: Uint8Array | null; end: number }> {
		for (let level = this.depth; level >= 1; level--) {
			const index = nodeIndex(level, block);
			const node = await this.node(level, index);
			if (!node) return { leaf: null, end: (index + 1) * spanBlocks(level + 1) };
			if (level === 1) return { leaf: node, end: (index + 1) * fanout };
			const slot = slotOf(level, block);
			if (isHole(node, slot * referenceBytes)) {
				return { leaf: null, end: (index * fanout + slot + 1) * spanBlocks(level) };
			}
		}
		throw new SternaError("internal", "a tree has at least one level");
	}

	async #read(level: number, index: number): Promise<Uint8Array | null> {
		const raised = index === 0 ? this.#raised.get(level) : undefined;
		if (raised) return raised;
		const reference = await this.reference(level, index);
		if (!reference) return null;
		try {
			const node = await this.#source.read(reference);
			checkInsideDisk(node, { level, index }, this.blocks);
			return node;
		} catch (error) {
			if (this.#forgiving && error instanceof SternaError && error.code === "invalid") return null;
			throw error;
		}
	}
}
