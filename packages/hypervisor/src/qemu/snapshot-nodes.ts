import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { QmpClient } from "../qmp/client.ts";
import { readBlockNodes } from "./bitmaps.ts";
import { diskNode, fileNode } from "./block-nodes.ts";
import { label, nodeOf, type QemuGuest, volumeIndex } from "./guest.ts";

/**
 * The block nodes of a snapshot under a running guest (docs/decisions/0013). For volume `n`:
 *
 *     guest's device ─▶ disk<n>-top (raw) ─▶ cbw<n> (copy-before-write) ─▶ disk<n>, the volume
 *                                              │  ▲                     └▶ scratch<n>, old blocks
 *                       snap<n> (snapshot-access)  ◀─ NBD, read only
 *
 * The top is put in while nothing happens yet; the instant is one `blockdev-reopen` that puts the filters under all tops.
 */
interface Nodes {
	volumeId: VolumeId;
	index: number;
	disk: string;
	top: string;
	filter: string;
	scratch: string;
	access: string;
}

const blockCommandMs = 10_000;
/** A scratch that has not taken an old block by then breaks the snapshot: no write of the guest waits longer. */
const scratchPatienceSeconds = 5;

export interface OpenVolume {
	volumeId: VolumeId;
	scratchPath: string;
	since: string | null;
}

/** Everything but the instant. The guest's blocks go the longer way, to the same place. */
export async function prepareNodes(guest: QemuGuest, volumes: readonly OpenVolume[]): Promise<void> {
	const { monitor } = guest;
	const add = (node: Parameters<typeof addNode>[1]) => addNode(monitor, node);
	for (const { volumeId, scratchPath } of volumes) {
		const { index, disk, top, filter, scratch } = nodesOf(guest, volumeId);
		const file = fileNode(scratch);
		// What is lost with the host's memory is lost with the snapshot: nothing waits for the scratch to be on the disk.
		const cache = { direct: false, "no-flush": true };
		await add({ driver: "file", "node-name": file, filename: scratchPath, discard: "unmap", cache });
		await add({ driver: "qcow2", "node-name": scratch, file, backing: null, discard: "unmap" });
		await add({ driver: "raw", "node-name": top, file: disk, discard: "unmap" });
		await plug(monitor, index, top);
		await add({
			driver: "copy-before-write",
			"node-name": filter,
			file: disk,
			target: scratch,
			discard: "unmap",
			"on-cbw-error": "break-snapshot",
			"cbw-timeout": scratchPatienceSeconds,
		});
	}
}

/** The instant, the same for all volumes: from here on what is overwritten is kept. */
export async function beginKeeping(guest: QemuGuest, volumes: readonly OpenVolume[]): Promise<void> {
	const all = volumes.map(({ volumeId }) => nodesOf(guest, volumeId));
	await reopen(
		guest.monitor,
		all.map(({ top, filter }) => ({ top, file: filter })),
	);
}

/** Serves the instant read only, with the bitmaps that say what changed before it. */
export async function exportInstant(guest: QemuGuest, volumes: readonly OpenVolume[], socket: string): Promise<void> {
	const { monitor } = guest;
	const options = { timeoutMs: blockCommandMs };
	await monitor.execute("nbd-server-start", { addr: { type: "unix", data: { path: socket } } }, options);
	for (const { volumeId, since } of volumes) {
		const { disk, filter, access } = nodesOf(guest, volumeId);
		await addNode(monitor, { driver: "snapshot-access", "node-name": access, file: filter });
		await monitor.execute(
			"block-export-add",
			{
				type: "nbd",
				id: access,
				"node-name": access,
				name: volumeId,
				writable: false,
				bitmaps: since === null ? [] : [{ node: disk, name: since }],
			},
			options,
		);
	}
}

/** Whether nodes of a snapshot are there, whole or in part. */
export async function hasSnapshotNodes(guest: QemuGuest): Promise<boolean> {
	const present = await presentNodes(guest.monitor);
	return guest.record.volumes.some(({ volumeId }) => {
		const { top, filter, scratch } = nodesOf(guest, volumeId);
		return [top, filter, scratch, fileNode(scratch)].some((name) => present.has(name));
	});
}

/**
 * What takes the guest's disks elsewhere, or changes them, needs all of them here and nobody else on them.
 * @throws {SternaError} `wrong_state`
 */
export async function expectPlainDisks(guest: QemuGuest, verb: string): Promise<void> {
	if (guest.record.sources.length > 0) {
		throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: its volumes are not completely here yet`);
	}
	if (!(await hasSnapshotNodes(guest))) return;
	throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: it is being backed up`, {
		cure: "wait for the end of the backup, or cancel it",
	});
}

/** The volumes that are served at the moment. */
export async function exportedVolumes(guest: QemuGuest): Promise<VolumeId[]> {
	const exports = await guest.monitor.execute("query-block-exports", {}, { timeoutMs: blockCommandMs });
	const served = new Set(exports.map(({ id }) => id));
	return guest.record.volumes
		.map(({ volumeId }) => volumeId)
		.filter((volumeId) => served.has(nodesOf(guest, volumeId).access));
}

/** Takes away whatever there is of a snapshot; the guest's device is back on its volume. Nothing there: no change. */
export async function removeNodes(guest: QemuGuest): Promise<void> {
	const { monitor } = guest;
	await endExports(guest);
	const present = await presentNodes(monitor);
	const remove = async (name: string) => {
		if (present.has(name)) await monitor.execute("blockdev-del", { "node-name": name }, { timeoutMs: blockCommandMs });
	};
	const all = guest.record.volumes.map(({ volumeId }) => nodesOf(guest, volumeId));
	for (const { access } of all) await remove(access);
	const topped = all.filter(({ top, filter }) => present.has(top) && present.has(filter));
	if (topped.length > 0) {
		await reopen(
			monitor,
			topped.map(({ top, disk }) => ({ top, file: disk })),
		);
	}
	for (const { index, disk, top, filter, scratch } of all) {
		await remove(filter);
		if (present.has(top)) await plug(monitor, index, disk);
		await remove(top);
		await remove(scratch);
		await remove(fileNode(scratch));
	}
}

async function endExports(guest: QemuGuest): Promise<void> {
	const { monitor } = guest;
	const options = { timeoutMs: blockCommandMs };
	const open = await exportedVolumes(guest);
	for (const volumeId of open) {
		await monitor.execute("block-export-del", { id: nodesOf(guest, volumeId).access, mode: "hard" }, options);
	}
	// The answer comes before the end of the export; its node is in use until then.
	const deadline = Date.now() + blockCommandMs;
	while ((await exportedVolumes(guest)).length > 0) {
		if (Date.now() > deadline) throw new SternaError("timeout", `the snapshot of ${label(guest)} does not end`);
		await delay(10);
	}
	// Refused when none was started.
	await monitor.execute("nbd-server-stop", {}, options).catch(() => undefined);
}

function nodesOf(guest: QemuGuest, volumeId: VolumeId): Nodes {
	const index = volumeIndex(guest, volumeId);
	return {
		volumeId,
		index,
		disk: nodeOf(guest, volumeId),
		// Errors that the guest gets are told with this name: it must lead to the volume.
		top: `${diskNode(index)}-top`,
		filter: `cbw${index}`,
		scratch: `scratch${index}`,
		access: `snap${index}`,
	};
}

async function presentNodes(monitor: QmpClient): Promise<Set<string>> {
	return new Set((await readBlockNodes(monitor)).flatMap((node) => node["node-name"] ?? []));
}

async function addNode(monitor: QmpClient, node: Parameters<typeof monitor.execute<"blockdev-add">>[1]): Promise<void> {
	await monitor.execute("blockdev-add", node, { timeoutMs: blockCommandMs });
}

/**
 * What the guest's device reads and writes from now on; its requests are drained before. Only when it is another node:
 * told of the one that it has, QEMU 10.0 fails an assertion and ends with the guest (bdrv_replace_child_noperm in block.c).
 */
async function plug(monitor: QmpClient, index: number, node: string): Promise<void> {
	const options = { timeoutMs: blockCommandMs };
	const disks = await monitor.execute("query-blockstats", {}, options);
	const used = disks.find(({ qdev }) => qdev?.includes(`/vd${index}/`))?.["node-name"];
	if (used === undefined) throw new SternaError("internal", `QEMU does not say what its disk ${index} is on`);
	if (used === node) return;
	const path = `/machine/peripheral/vd${index}/virtio-backend`;
	await monitor.execute("qom-set", { path, property: "drive", value: node }, options);
}

/** All at once: the requests of all devices are drained before the first changes. */
async function reopen(monitor: QmpClient, tops: { top: string; file: string }[]): Promise<void> {
	const options = tops.map(({ top, file }) => ({
		driver: "raw" as const,
		"node-name": top,
		file,
		discard: "unmap" as const,
	}));
	await monitor.execute("blockdev-reopen", { options }, { timeoutMs: blockCommandMs });
}
