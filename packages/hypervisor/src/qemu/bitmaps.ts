import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { ChangeBitmap, EndSnapshot, VolumeLocation, VolumeTracking } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";
import type { CommandArguments, CommandReturns } from "../qmp/generated/schema.ts";
import { nodeOf, type QemuGuest } from "./guest.ts";
import { type StoppedGuest, withStoppedVolumes } from "./offline.ts";

type BlockNodes = CommandReturns["query-named-block-nodes"];
export type BitmapAction = CommandArguments["transaction"]["actions"][number];

/** 64 KiB: the block of a repository, and the cluster that is copied before it is written. */
export const bitmapGranularityBytes = 65_536;
const blockCommandMs = 10_000;

/** What is tracked of the volumes' changes: asked of the running guest, or of the files when `guest` is null. */
export async function changeTracking(
	stopped: StoppedGuest,
	guest: QemuGuest | null,
	volumes: readonly VolumeLocation[],
): Promise<VolumeTracking[]> {
	if (guest !== null) {
		const nodes = await readBlockNodes(guest.monitor);
		return volumes.map(({ volumeId }) => trackingIn(nodes, volumeId, nodeOf(guest, volumeId)));
	}
	return withStoppedVolumes(stopped, { volumes, readOnly: true }, async (monitor, nodeOfVolume) => {
		const nodes = await readBlockNodes(monitor);
		return volumes.map(({ volumeId }) => trackingIn(nodes, volumeId, nodeOfVolume(volumeId)));
	});
}

export function readBlockNodes(monitor: QmpClient): Promise<BlockNodes> {
	return monitor.execute("query-named-block-nodes", { flat: true }, { timeoutMs: blockCommandMs });
}

/** What a node tells of one volume. @throws {SternaError} `not_found` when the node is not there. */
export function trackingIn(nodes: BlockNodes, volumeId: VolumeId, name: string): VolumeTracking {
	const node = nodes.find((candidate) => candidate["node-name"] === name);
	if (!node) throw new SternaError("not_found", `the volume ${volumeId} is not open in QEMU`);
	const bitmaps = (node["dirty-bitmaps"] ?? []).flatMap((bitmap) =>
		// QEMU's own bitmaps have no name.
		bitmap.name === undefined ? [] : [{ ...bitmap, name: bitmap.name }],
	);
	return {
		volumeId,
		sizeBytes: node.image["virtual-size"],
		allocatedBytes: node.image["actual-size"] ?? 0,
		bitmaps: bitmaps.map(({ name, granularity, recording, inconsistent, count }) => ({
			name,
			granularityBytes: granularity,
			recording,
			inconsistent: inconsistent ?? false,
			dirtyBytes: count,
		})),
	};
}

/**
 * What the snapshot needs of a volume's bitmaps, before anything is done.
 * @throws {SternaError} `wrong_state` when `since` cannot tell what changed, `conflict` when `mark` is there already.
 */
export function checkBitmaps(
	{ volumeId, bitmaps }: VolumeTracking,
	wanted: { mark: string; since: string | null },
): void {
	if (bitmaps.some(({ name }) => name === wanted.mark)) {
		throw new SternaError("conflict", `the volume ${volumeId} has a bitmap ${wanted.mark} already`);
	}
	if (wanted.since === null) return;
	const since = bitmaps.find(({ name }) => name === wanted.since);
	if (since?.recording && !since.inconsistent) return;
	const why = since === undefined ? "is not there" : since.inconsistent ? "cannot be trusted" : "has ended";
	throw new SternaError("wrong_state", `the bitmap ${wanted.since} of the volume ${volumeId} ${why}`, {
		cure: "read the volume whole",
	});
}

/** From before the instant. Blocks that are written until then are read once more than needed, never once too little. */
export function beginMark(node: string, mark: string): BitmapAction {
	return {
		type: "block-dirty-bitmap-add",
		data: { node, name: mark, persistent: true, granularity: bitmapGranularityBytes },
	};
}

/** From after the instant, for the same reason. */
export function endSince(node: string, since: string | null): BitmapAction[] {
	return since === null ? [] : [{ type: "block-dirty-bitmap-disable", data: { node, name: since } }];
}

/**
 * What brings a volume's bitmaps to where the outcome wants them, from whatever an interruption left. A bitmap that
 * cannot be trusted is removed: without it the volume is read whole, with it blocks would be missed.
 */
export function settle(
	present: readonly ChangeBitmap[],
	node: string,
	wanted: Pick<EndSnapshot, "mark" | "outcome"> & { since: string | null; stale: readonly string[] },
): BitmapAction[] {
	const mark = present.find(({ name }) => name === wanted.mark);
	const since = present.find(({ name }) => name === wanted.since);
	const remove = (name: string): BitmapAction => ({ type: "block-dirty-bitmap-remove", data: { node, name } });
	const removal = (bitmap: ChangeBitmap | undefined) => (bitmap ? [remove(bitmap.name)] : []);
	if (wanted.outcome === "committed") {
		// Each once, though it may be asked for twice: the transaction would fail at the second removal.
		const old = present.filter((one) => one !== mark && (one === since || wanted.stale.includes(one.name)));
		return [...old, ...(mark?.inconsistent ? [mark] : [])].map(({ name }) => remove(name));
	}
	if (!since || since.inconsistent || mark?.inconsistent) return [...removal(since), ...removal(mark)];
	// What was written after `since` ended is only in `mark`.
	if (!mark) return since.recording ? [] : [remove(since.name)];
	return [
		...(since.recording ? [] : [{ type: "block-dirty-bitmap-enable" as const, data: { node, name: since.name } }]),
		{ type: "block-dirty-bitmap-merge", data: { node, target: since.name, bitmaps: [mark.name] } },
		remove(mark.name),
	];
}

/** All of them or none. */
export async function runTransaction(monitor: QmpClient, actions: BitmapAction[]): Promise<void> {
	if (actions.length === 0) return;
	await monitor.execute("transaction", { actions }, { timeoutMs: blockCommandMs });
}

/** Settles all bitmaps of a snapshot's volumes in one transaction. `nodeOfVolume` is null for a volume that is not there. */
export async function settleAll(
	monitor: QmpClient,
	end: EndSnapshot,
	nodeOfVolume: (volumeId: VolumeId) => string | null,
): Promise<void> {
	const nodes = await readBlockNodes(monitor);
	const actions = end.volumes.flatMap(({ volumeId, since, stale = [] }) => {
		const node = nodeOfVolume(volumeId);
		if (node === null) return [];
		const { bitmaps } = trackingIn(nodes, volumeId, node);
		return settle(bitmaps, node, { mark: end.mark, since, stale, outcome: end.outcome });
	});
	await runTransaction(monitor, actions);
}

/** Removes what a killed process left: nothing reads by it, and QEMU moves no guest that has such a bitmap. */
export async function removeUntrusted(guest: QemuGuest): Promise<void> {
	const nodes = await readBlockNodes(guest.monitor);
	const actions = guest.record.volumes.flatMap(({ volumeId }) => {
		const node = nodeOf(guest, volumeId);
		const untrusted = trackingIn(nodes, volumeId, node).bitmaps.filter(({ inconsistent }) => inconsistent);
		return untrusted.map(({ name }): BitmapAction => ({ type: "block-dirty-bitmap-remove", data: { node, name } }));
	});
	await runTransaction(guest.monitor, actions);
}

/** The guest's node of a volume; null when it has no such volume any more. */
export function nodeIfThere(guest: QemuGuest, volumeId: VolumeId): string | null {
	return guest.record.volumes.some((volume) => volume.volumeId === volumeId) ? nodeOf(guest, volumeId) : null;
}
