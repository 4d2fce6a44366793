import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { MoveVolume } from "../hypervisor.ts";
import type { Waiting } from "../qmp/client.ts";
import { readBlockNodes, runTransaction, trackingIn } from "./bitmaps.ts";
import { diskNode, fileNode } from "./block-nodes.ts";
import { volumeNodes } from "./disk-devices.ts";
import { expectState, keepRecord, label, nodeOf, type QemuGuest, refuseCopying, volumeIndex } from "./guest.ts";
import { giveVolumes } from "./launch.ts";
import { expectPlainDisks } from "./snapshot-nodes.ts";
import { copyVolume, settleFiles } from "./volume-copy.ts";
import { createVolume, deleteVolume, supportsDirectIo } from "./volumes.ts";

/**
 * A running guest's volume goes to another file (QEMU, docs/interop/live-block-operations, "blockdev-mirror"):
 *
 * 1. The record says that it is on its way, then the new file is made: whatever happens from here on, a later life knows
 *    which file is nobody's.
 * 2. A mirror copies it while the guest writes, until both are equal and every later write follows.
 * 3. What is tracked is carried over, in one transaction: bitmaps of the same names begin on the new node, then those of
 *    the old one are merged into them. No write is missed: one that the old bitmap has not seen when it is merged is
 *    written to the new node by the mirror after that, and the bitmap there records it. The first copy came before, and
 *    is not recorded.
 * 4. The CPUs are held, the mirror ends with the guest's disk on the new node, the record says so, the CPUs go on. Held,
 *    because a power cut between the last two would leave two files of which nobody knows which has the guest's writes:
 *    so there are none. QEMU flushes when it holds the CPUs, and the mirror before it ends; it takes milliseconds.
 * 5. The old file is deleted.
 *
 * Until 4 has ended the old file is the volume, and everything is undone; after it the new one is, and the rest is done.
 */
export async function moveVolume(
	{ img, recordPath }: { img: string; recordPath: string },
	guest: QemuGuest | null,
	move: MoveVolume,
	signal: AbortSignal,
): Promise<void> {
	if (guest === null) await copyVolume({ img, recordPath }, move, signal);
	else await moveRunning(img, guest, move, signal);
}

const blockCommandMs = 10_000;
const sampleEveryMs = 200;
const copyDeadlineMs = 7 * 24 * 3600_000;
/** As little as a slow disk takes in a moment: what is left when the CPUs are held. */
const remainderBytes = 16 * 1024 * 1024;
/** A file that does not take the remainder by then is not to be trusted with the guest. */
const pivotDeadlineMs = 10_000;

/** Guests of which this life of the driver moves a volume. */
const underWay = new WeakSet<QemuGuest>();

async function moveRunning(img: string, guest: QemuGuest, move: MoveVolume, signal: AbortSignal): Promise<void> {
	const { volumeId, from, to } = move;
	const index = volumeIndex(guest, volumeId);
	// One that an earlier life left, and that could not be settled then.
	if (!underWay.has(guest)) await settleMove(guest);
	const volume = guest.record.volumes[index];
	if (volume?.path === to && guest.record.moving === null) return;
	refuseCopying(guest, "move a volume of");
	await expectPlainDisks(guest, "move a volume of");
	await expectState(guest, ["running", "paused"], "move a volume of");
	if (volume?.path !== from) {
		throw new SternaError("not_found", `the volume ${volumeId} of ${label(guest)} is not where it is said to be`);
	}
	const moves = volume.moves + 1;
	underWay.add(guest);
	try {
		await keepRecord(guest, { moving: { volumeId, from, to, moves, heldFrom: null } });
		const target = diskNode(index, moves);
		await openTarget(img, guest, { volumeId, path: to, target });
		await mirror(guest, move, { job: moveJob(index), target }, signal);
		await settleMove(guest);
	} catch (error) {
		// The files of a process that is gone are seen to by whoever cleans up after it.
		if (!guest.monitor.closed) await settleMove(guest);
		if (!signal.aborted) throw error;
		throw new SternaError("cancelled", `moving a volume of ${label(guest)} was cancelled`, { cause: error });
	} finally {
		underWay.delete(guest);
	}
}

/**
 * Finishes or undoes a move, whatever it stands at: the disk that the guest uses says which. Afterwards there is one file,
 * it is the guest's, and the record says so. None under way: no change.
 */
export async function settleMove(guest: QemuGuest): Promise<void> {
	const { moving, volumes } = guest.record;
	if (moving === null) return;
	const index = volumeIndex(guest, moving.volumeId);
	await endJob(guest, moveJob(index));
	const [oldNode, newNode] = [diskNode(index, moving.moves - 1), diskNode(index, moving.moves)];
	const used = await usedNode(guest, index);
	if (used !== oldNode && used !== newNode) {
		throw new SternaError("internal", `QEMU does not say which file the disk ${index} of ${label(guest)} is`);
	}
	const isNew = used === newNode;
	if (isNew) {
		const seated = { path: moving.to, moves: moving.moves };
		await keepRecord(guest, {
			volumes: volumes.map((volume, position) => (position === index ? { ...volume, ...seated } : volume)),
		});
	}
	if (moving.heldFrom === "running") await guest.monitor.execute("cont", {}, { timeoutMs: blockCommandMs });
	await removeNodes(guest, isNew ? oldNode : newNode);
	guest.record = await settleFiles(guest.record);
	await keepRecord(guest, {});
}

function moveJob(index: number): string {
	return `move${index}`;
}

async function openTarget(
	img: string,
	guest: QemuGuest,
	{ volumeId, path, target }: { volumeId: VolumeId; path: string; target: string },
): Promise<void> {
	const { sizeBytes } = trackingIn(await readBlockNodes(guest.monitor), volumeId, nodeOf(guest, volumeId));
	const { spec, uid } = guest.record;
	await deleteVolume({ volumeId, path });
	await createVolume(img, { volumeId, path, sizeBytes });
	await giveVolumes({ spec, volumes: [{ volumeId, path }] }, uid);
	const directIo = await supportsDirectIo(path);
	for (const node of volumeNodes({ node: target, path, directIo })) {
		await guest.monitor.execute("blockdev-add", node, { timeoutMs: blockCommandMs });
	}
}

/** Fulfilled when the guest's disk is `target`, with its CPUs held. */
async function mirror(
	guest: QemuGuest,
	{ volumeId, onProgress }: MoveVolume,
	{ job, target }: { job: string; target: string },
	signal: AbortSignal,
): Promise<void> {
	const { monitor } = guest;
	const device = nodeOf(guest, volumeId);
	const waitOptions = { timeoutMs: copyDeadlineMs, reason: "copy its volume", signal };
	const ready = waitForJob(guest, job, "BLOCK_JOB_READY", waitOptions);
	const sampling = new AbortController();
	try {
		signal.throwIfAborted();
		// Of a volume that stands alone the top is all there is; unlike `full` it does not first write zeros over the target.
		const how = { sync: "top", "copy-mode": "background" } as const;
		await monitor.execute("blockdev-mirror", { "job-id": job, device, target, ...how }, { timeoutMs: blockCommandMs });
		await Promise.race([ready.value, sample(guest, job, onProgress, sampling.signal)]);
		// A guest that writes faster than the new file takes it is slowed down from here on, or the two would never be equal.
		await monitor.execute("block-job-change", { id: job, type: "mirror", "copy-mode": "write-blocking" });
		while ((await progressOf(guest, job, onProgress)) > remainderBytes)
			await delay(sampleEveryMs, undefined, { signal });
		// A copy that was quicker than who cancelled it is undone as well: the guest still uses the old file.
		signal.throwIfAborted();
	} finally {
		sampling.abort();
		ready.stop();
	}
	await carryBitmaps(guest, volumeId, target);
	await holdCpus(guest);
	const completed = waitForJob(guest, job, "BLOCK_JOB_COMPLETED", {
		timeoutMs: pivotDeadlineMs,
		reason: "change files",
	});
	try {
		await monitor.execute("block-job-complete", { device: job }, { timeoutMs: blockCommandMs });
		await completed.value;
	} finally {
		completed.stop();
	}
}

/** Those that cannot be trusted are left behind: without them the volume is read whole, as it would be with them. */
async function carryBitmaps(guest: QemuGuest, volumeId: VolumeId, target: string): Promise<void> {
	const source = nodeOf(guest, volumeId);
	const { bitmaps } = trackingIn(await readBlockNodes(guest.monitor), volumeId, source);
	const carried = bitmaps.filter(({ inconsistent }) => !inconsistent);
	await runTransaction(
		guest.monitor,
		carried.flatMap(({ name, granularityBytes, recording }) => [
			{
				type: "block-dirty-bitmap-add",
				data: { node: target, name, granularity: granularityBytes, persistent: true, disabled: !recording },
			},
			{
				type: "block-dirty-bitmap-merge",
				data: { node: target, target: name, bitmaps: [{ node: source, name }] },
			},
		]),
	);
}

/** The record first: a later life lets go what it finds held. */
async function holdCpus(guest: QemuGuest): Promise<void> {
	const { moving } = guest.record;
	if (moving === null) throw new SternaError("internal", `no volume of ${label(guest)} is being moved`);
	const { running } = await guest.monitor.execute("query-status", {});
	await keepRecord(guest, { moving: { ...moving, heldFrom: running ? "running" : "paused" } });
	await guest.monitor.execute("stop", {}, { timeoutMs: blockCommandMs });
}

/** The value rejects with `unavailable` when the job ends in any other way. */
function waitForJob(
	guest: QemuGuest,
	job: string,
	awaited: "BLOCK_JOB_READY" | "BLOCK_JOB_COMPLETED",
	options: { timeoutMs: number; reason: string; signal?: AbortSignal },
): Waiting<true> {
	return guest.monitor.waitFor((event) => {
		if (
			event.event !== "BLOCK_JOB_READY" &&
			event.event !== "BLOCK_JOB_COMPLETED" &&
			event.event !== "BLOCK_JOB_CANCELLED"
		)
			return undefined;
		if (event.data.device !== job) return undefined;
		const error = event.event === "BLOCK_JOB_COMPLETED" ? event.data.error : undefined;
		if (event.event === awaited && error === undefined) return true;
		if (event.event === "BLOCK_JOB_READY") return undefined;
		throw new SternaError("unavailable", `moving a volume of ${label(guest)} failed: ${error ?? "it ended too early"}`);
	}, options);
}

/** Ends only by throwing. */
async function sample(
	guest: QemuGuest,
	job: string,
	onProgress: MoveVolume["onProgress"],
	stop: AbortSignal,
): Promise<never> {
	for (;;) {
		if (!stop.aborted) await progressOf(guest, job, onProgress);
		await delay(sampleEveryMs, undefined, { signal: stop }).catch(() => new Promise(() => undefined));
	}
}

/** Tells how far the job is; the bytes that are left. */
async function progressOf(guest: QemuGuest, name: string, onProgress: MoveVolume["onProgress"]): Promise<number> {
	const jobs = await guest.monitor.execute("query-block-jobs", {}, { timeoutMs: blockCommandMs });
	const job = jobs.find(({ device }) => device === name);
	if (!job) return 0;
	onProgress({ totalBytes: job.len, transferredBytes: job.offset });
	return job.len - job.offset;
}

async function endJob(guest: QemuGuest, name: string): Promise<void> {
	const deadline = Date.now() + pivotDeadlineMs;
	for (;;) {
		const jobs = await guest.monitor.execute("query-block-jobs", {}, { timeoutMs: blockCommandMs });
		if (!jobs.some(({ device }) => device === name)) return;
		if (Date.now() > deadline) throw new SternaError("timeout", `the copy of a volume of ${label(guest)} does not end`);
		// Refused while it ends by itself.
		await guest.monitor.execute("block-job-cancel", { device: name, force: true }).catch(() => undefined);
		await delay(20);
	}
}

/** The node that the guest's device reads and writes. */
async function usedNode(guest: QemuGuest, index: number): Promise<string | undefined> {
	const disks = await guest.monitor.execute("query-blockstats", {}, { timeoutMs: blockCommandMs });
	return disks.find(({ qdev }) => qdev?.includes(`/vd${index}/`))?.["node-name"];
}

async function removeNodes(guest: QemuGuest, unused: string): Promise<void> {
	const nodes = await readBlockNodes(guest.monitor);
	for (const name of [unused, fileNode(unused)]) {
		if (!nodes.some((node) => node["node-name"] === name)) continue;
		await guest.monitor.execute("blockdev-del", { "node-name": name }, { timeoutMs: blockCommandMs });
	}
}
