import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import { openChecked } from "../codec/jobs.ts";
import { frameKeyNumber } from "../format/frame.ts";
import { type Manifest, PointRecord } from "../format/manifest.ts";
import { type PackId, packKey } from "../format/pack-id.ts";
import { movedKey, pointKey, pointsPrefix, prunedPrefix } from "../format/records.ts";
import type { Reference } from "../format/reference.ts";
import type { Opened } from "../opened.ts";
import { readVisiblePoint } from "../read/points.ts";
import type { UpkeepOptions } from "../repository.ts";
import { nodeBytes } from "../tree/geometry.ts";
import { NodeSource } from "../tree/node-source.ts";
import { type NeededReference, walkPoint } from "../tree/walk.ts";
import type { Findings } from "./findings.ts";
import { listPointIds } from "./inventory.ts";
import { examinePack, type PackHealth } from "./pack-health.ts";
import { findRecord, nullIfGone } from "./small-object.ts";

interface Scrubbing {
	packs: Map<PackId, PackHealth>;
	findings: Findings;
	options: UpkeepOptions;
}

/** What is missing where: the object to blame, and the packs whose references must not be used again. */
interface Loss {
	object: string;
	text: string;
	packIds: PackId[];
}

/**
 * Follows every visible point down to its blocks, and names what cannot be restored. A tree that points share is walked once;
 * only where something is lost each point is walked for its own ranges. Returns the lost hashes by the packs that they were
 * looked for in.
 */
export async function scrubPoints(opened: Opened, scrubbing: Scrubbing): Promise<Map<PackId, Set<string>>> {
	const { findings, options } = scrubbing;
	const walker = new LossFinder(opened, scrubbing);
	const manifests = await visibleManifests(opened);
	for (const manifest of manifests) await walker.look(manifest);
	for (const manifest of walker.dirty.size > 0 ? manifests : []) {
		const { point } = manifest;
		const owner = { pointId: point.pointId, guestId: point.guestId, guestName: point.guestName };
		const enter = ({ reference }: NeededReference) =>
			walker.dirty.has(nameOf(reference)) && !walker.losses.has(nameOf(reference));
		for await (const needed of walkPoint(opened, manifest, { signal: options.signal, enter, unreadable: () => {} })) {
			const loss = walker.losses.get(nameOf(needed.reference));
			if (!loss) continue;
			findings.add(loss.object, loss.text);
			findings.hits(loss.object, owner, { volumeId: needed.volumeId, from: needed.fromByte, to: needed.toByte });
		}
	}
	return walker.lostHashes;
}

async function visibleManifests(opened: Opened): Promise<Manifest[]> {
	const pruned = await listPointIds(opened, prunedPrefix);
	const manifests: Manifest[] = [];
	for (const pointId of await listPointIds(opened, pointsPrefix)) {
		// Manifests that cannot be read are found with the other small objects.
		if (pruned.has(pointId)) continue;
		const found = await findRecord(opened, pointKey(pointId), PointRecord);
		if (found.is === "there" && found.value.is === "point") manifests.push(found.value);
	}
	return manifests;
}

class LossFinder {
	/** Nodes with something lost under them, or lost themselves. */
	readonly dirty = new Set<string>();
	readonly losses = new Map<string, Loss>();
	readonly lostHashes = new Map<PackId, Set<string>>();
	readonly #opened: Opened;
	readonly #scrubbing: Scrubbing;
	readonly #seen = new Set<string>();
	readonly #gone = new Set<PackId>();
	readonly #nodes: NodeSource;

	constructor(opened: Opened, scrubbing: Scrubbing) {
		this.#opened = opened;
		this.#scrubbing = scrubbing;
		this.#nodes = new NodeSource(opened);
	}

	/** Walks what was not walked with an earlier point. */
	async look({ point, ...manifest }: Manifest): Promise<void> {
		const path: NeededReference[] = [];
		const soil = (names: readonly string[]) => names.forEach((name) => void this.dirty.add(name));
		const enter = ({ reference }: NeededReference) => {
			const name = nameOf(reference);
			if (this.losses.has(name)) return false;
			if (!this.#seen.has(name)) {
				this.#seen.add(name);
				return true;
			}
			if (this.dirty.has(name)) soil(namesOf(path));
			return false;
		};
		const { signal } = this.#scrubbing.options;
		const broken: { node: NeededReference; above: string[] }[] = [];
		const unreadable = (node: NeededReference) => void broken.push({ node, above: namesOf(path) });
		const walk = { signal, enter, nodes: this.#nodes, unreadable };
		for await (const needed of walkPoint(this.#opened, { point, ...manifest }, walk)) {
			while (path.length > 0 && !isUnder(needed, path.at(-1))) path.pop();
			if (needed.is === "node") path.push(needed);
			const loss = await this.#lossOf(needed, point.pointId);
			if (!loss) continue;
			this.#note(needed.reference, loss);
			soil(namesOf(path));
		}
		// A node that was whole when its pack was read, and is not any more.
		for (const { node, above } of broken) {
			if (!(await this.#isVisible(point.pointId))) continue;
			const { packId } = node.reference;
			this.#note(node.reference, { object: packKey(packId), text: "a node in it cannot be used", packIds: [packId] });
			soil(above);
		}
	}

	#note(reference: Reference, loss: Loss): void {
		this.losses.set(nameOf(reference), loss);
		for (const packId of loss.packIds) {
			const hashes = this.lostHashes.get(packId) ?? new Set();
			this.lostHashes.set(packId, hashes.add(Buffer.from(reference.hash).toString("hex")));
		}
	}

	/** Null when the node or block is there, where the reference says or where a note says. */
	async #lossOf({ reference, is }: NeededReference, pointId: PointId): Promise<Loss | null> {
		const known = this.losses.get(nameOf(reference));
		if (known) return known;
		if (await this.#isThere(reference, is)) return null;
		let moved: Reference | null = null;
		let unusableNote = false;
		try {
			moved = await this.#opened.packs.moved(reference);
		} catch (error) {
			if (!(error instanceof SternaError) || error.code === "unavailable") throw error;
			unusableNote = true;
		}
		if (moved && (await this.#isThere(moved, is))) return null;
		if (!(await this.#isVisible(pointId))) return null;
		const place = moved ?? reference;
		const health = this.#scrubbing.packs.get(place.packId);
		const text = health?.text ?? (health ? "it lacks a block that points need" : "it is missing");
		const object = unusableNote ? movedKey(reference.packId) : packKey(place.packId);
		return { object, text, packIds: moved ? [reference.packId, moved.packId] : [reference.packId] };
	}

	async #isThere(reference: Reference, is: "node" | "block"): Promise<boolean> {
		const { packs, findings } = this.#scrubbing;
		let health = packs.get(reference.packId);
		if (!health) {
			// Written since the packs were listed, compacted, or lost. What is gone never comes back.
			if (this.#gone.has(reference.packId)) return false;
			health = (await examinePack(this.#opened, reference.packId)) ?? undefined;
			if (!health) {
				this.#gone.add(reference.packId);
				return false;
			}
			packs.set(reference.packId, health);
			if (health.text) findings.add(packKey(reference.packId), health.text);
		}
		const holds = health.holds(reference);
		return holds === "unknown" ? this.#opens(reference, is) : holds === "yes";
	}

	/** Tries one block of a pack whose directory is lost. */
	async #opens(reference: Reference, is: "node" | "block"): Promise<boolean> {
		const { packId, offset, storedBytes } = reference;
		const { storage, sealing, config } = this.#opened;
		const sealed = await storage.get(packKey(packId), { offset, length: storedBytes }).catch(nullIfGone);
		const keyNumber = sealed ? frameKeyNumber(sealed) : null;
		const key = keyNumber === null ? null : sealing.packKey(packId, keyNumber);
		if (!sealed || keyNumber === null || !key) return false;
		const plainBytes = is === "node" ? nodeBytes : config.blockSizeBytes;
		const job = { hashKey: sealing.hashKey, plainBytes, keys: new Map([[keyNumber, key]]) };
		return openChecked(job, sealed, reference) !== null;
	}

	/** What a point lacks that was pruned meanwhile is no damage. */
	async #isVisible(pointId: PointId): Promise<boolean> {
		return (await readVisiblePoint(this.#opened, pointId).catch(nullIfGone)) !== null;
	}
}

/** A place, as references that are the same name it. */
function nameOf({ packId, offset, frameIndex, hash }: Reference): string {
	return `${packId}${offset} ${frameIndex} ${Buffer.from(hash).toString("latin1")}`;
}

function namesOf(path: readonly NeededReference[]): string[] {
	return path.map(({ reference }) => nameOf(reference));
}

/** Neighbours never overlap, so what is inside a node's bytes hangs under it. */
function isUnder(needed: NeededReference, node: NeededReference | undefined): boolean {
	if (node?.volumeId !== needed.volumeId) return false;
	return needed.fromByte >= node.fromByte && needed.toByte <= node.toByte;
}
