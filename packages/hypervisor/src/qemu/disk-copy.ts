import { setTimeout as delay } from "node:timers/promises";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { CopyDisks } from "../hypervisor.ts";
import type { QmpEvent } from "../qmp/generated/schema.ts";
import { indexIn, mirrorJob, mirrorNode } from "./block-nodes.ts";
import { giveTo } from "./confinement.ts";
import { label, nodeOf, type QemuGuest, type SourceMove, volumeIndex } from "./guest.ts";
import { checkSocketPath } from "./paths.ts";
import { expectPlainDisks } from "./snapshot-nodes.ts";
import { yank } from "./yank.ts";

const blockCommandMs = 10_000;
const sampleEveryMs = 500;
const stalledAfterMs = 20_000;
const copyDeadlineMs = 7 * 24 * 3600_000;
const drainDeadlineMs = 5000;

/**
 * Mirrors the guest's volumes to the target's NBD exports until all are in sync; they are kept in sync from then on.
 * On failure no copy is left under way and the guest has noticed nothing.
 */
export async function copyDisks(guest: QemuGuest, copy: CopyDisks, signal: AbortSignal): Promise<void> {
	const jobs = copy.disks.map(({ volumeId, socket }) => ({ volumeId, socket, index: volumeIndex(guest, volumeId) }));
	for (const { socket } of jobs) checkSocketPath(socket);
	await expectPlainDisks(guest, "move");
	const ready = new Set<string>();
	const names = new Set(jobs.map(({ index }) => mirrorJob(index)));
	guest.move = { copies: names, downtimeLimitMs: null };
	const inSync = guest.monitor.waitFor(
		(event) => {
			const failure = copyFailureIn(guest, event);
			if (failure) throw failure;
			if (event.event === "BLOCK_JOB_READY") ready.add(event.data.device);
			return [...names].every((name) => ready.has(name)) ? true : undefined;
		},
		{ timeoutMs: copyDeadlineMs, reason: "copy its volumes", signal },
	);
	const sampling = new AbortController();
	try {
		for (const { volumeId, socket, index } of jobs) {
			signal.throwIfAborted();
			await begin(guest, { volumeId, socket, index });
		}
		if (jobs.length > 0) await Promise.race([inSync.value, sample(guest, copy, names, sampling.signal)]);
		copy.onProgress(await progressOf(guest, names));
	} catch (error) {
		await cancelCopies(guest).catch(() => undefined);
		if (signal.aborted)
			throw new SternaError("cancelled", `the move of ${label(guest)} was cancelled`, { cause: error });
		throw error;
	} finally {
		sampling.abort();
		inSync.stop();
	}
}

async function begin(
	guest: QemuGuest,
	{ volumeId, socket, index }: { volumeId: VolumeId; socket: string; index: number },
): Promise<void> {
	const { monitor } = guest;
	await giveTo(guest.record.uid, socket);
	const options = { timeoutMs: blockCommandMs };
	await monitor.execute(
		"blockdev-add",
		{
			driver: "nbd",
			"node-name": mirrorNode(index),
			server: { type: "unix", path: socket },
			export: volumeId,
			// Zeros are most of a fresh disk: they take neither the link's time nor the target's space.
			discard: "unmap",
			"detect-zeroes": "unmap",
		},
		options,
	);
	await monitor.execute(
		"blockdev-mirror",
		{
			"job-id": mirrorJob(index),
			device: nodeOf(guest, volumeId),
			target: mirrorNode(index),
			// Volumes have no backing file, so the top is all there is. Unlike `full` this does not first write zeros over the
			// whole target, which is new and empty: its holes would be zeros that the next move has to look at.
			sync: "top",
			"copy-mode": "background",
		},
		options,
	);
}

/** With the guest paused: lets each copy finish what is on its way, and ends it. The target's volumes are then equal. */
export async function drainCopies(guest: QemuGuest, move: SourceMove, signal: AbortSignal): Promise<void> {
	if (move.copies.size === 0) return;
	const jobs = [...move.copies];
	const open = new Set(jobs);
	const completed = guest.monitor.waitFor(
		(event) => {
			if (event.event === "BLOCK_JOB_COMPLETED" && open.has(event.data.device)) {
				if (event.data.error !== undefined) throw copyFailed(guest, event.data.error);
				open.delete(event.data.device);
			}
			// A copy that was in sync is completed by a cancel; this means that it was not.
			if (event.event === "BLOCK_JOB_CANCELLED" && open.has(event.data.device)) {
				throw copyFailed(guest, "it was not in sync");
			}
			return open.size === 0 ? true : undefined;
		},
		{ timeoutMs: drainDeadlineMs, reason: "finish the copies of its volumes", signal },
	);
	try {
		const present = await guest.monitor.execute("query-block-jobs", {});
		const lost = jobs.find((name) => !present.some((job) => job.device === name && job.ready));
		if (lost !== undefined) throw copyFailed(guest, "it was not in sync at the switchover");
		for (const job of jobs) await guest.monitor.execute("block-job-cancel", { device: job, force: false });
		await completed.value;
	} finally {
		completed.stop();
	}
	await removeMirrorNodes(guest);
}

/** Ends whatever copies there are; a target that hangs is cut off out of band. Nothing under way: no change. */
export async function cancelCopies(guest: QemuGuest): Promise<void> {
	const jobs = await copiesOf(guest);
	for (const job of jobs)
		await guest.monitor.execute("block-job-cancel", { device: job, force: true }).catch(goneIsFine);
	if (!(await waitForNoCopies(guest, 1000))) {
		const nodes = jobs.map((job) => mirrorNode(indexIn(job) ?? 0));
		await yank(
			guest,
			nodes.map((node) => ({ type: "block-node", "node-name": node })),
		);
		if (!(await waitForNoCopies(guest, 5000))) {
			throw new SternaError("timeout", `the copies of ${label(guest)}'s volumes could not be ended`);
		}
	}
	await removeMirrorNodes(guest);
}

async function waitForNoCopies(guest: QemuGuest, deadlineMs: number): Promise<boolean> {
	const deadline = Date.now() + deadlineMs;
	while ((await copiesOf(guest).catch(() => ["unknown"])).length > 0) {
		if (Date.now() > deadline) return false;
		await delay(20);
	}
	return true;
}

async function removeMirrorNodes(guest: QemuGuest): Promise<void> {
	const nodes = await guest.monitor.execute("query-named-block-nodes", { flat: true }, { timeoutMs: blockCommandMs });
	for (const { "node-name": name } of nodes) {
		if (name?.startsWith("mirror") && indexIn(name) !== null) {
			await guest.monitor.execute("blockdev-del", { "node-name": name }, { timeoutMs: blockCommandMs });
		}
	}
}

async function copiesOf(guest: QemuGuest): Promise<string[]> {
	const jobs = await guest.monitor.execute("query-block-jobs", {});
	return jobs.map((job) => job.device).filter((name) => name.startsWith("copy") && indexIn(name) !== null);
}

async function sample(guest: QemuGuest, copy: CopyDisks, names: Set<string>, stop: AbortSignal): Promise<never> {
	let transferred = -1;
	let grewAt = Date.now();
	for (;;) {
		await delay(sampleEveryMs, undefined, { signal: stop }).catch(() => undefined);
		if (stop.aborted) return new Promise(() => undefined);
		const progress = await progressOf(guest, names);
		if (stop.aborted) return new Promise(() => undefined);
		copy.onProgress(progress);
		if (progress.transferredBytes > transferred) {
			transferred = progress.transferredBytes;
			grewAt = Date.now();
		} else if (progress.transferredBytes < progress.totalBytes && Date.now() - grewAt > stalledAfterMs) {
			throw new SternaError("unavailable", `nothing of ${label(guest)}'s volumes went over for ${stalledAfterMs} ms`, {
				cure: "look at the network between the two hosts and at the target's disk",
			});
		}
	}
}

async function progressOf(
	guest: QemuGuest,
	names: Set<string>,
): Promise<{ totalBytes: number; transferredBytes: number }> {
	const all = await guest.monitor.execute("query-block-jobs", {}, { timeoutMs: blockCommandMs });
	const jobs = all.filter((job) => names.has(job.device));
	return {
		totalBytes: jobs.reduce((sum, job) => sum + job.len, 0),
		transferredBytes: jobs.reduce((sum, job) => sum + job.offset, 0),
	};
}

/** The error when the event means that one of the move's copies ended before it was told to. */
export function copyFailureIn(guest: QemuGuest, event: QmpEvent): SternaError | null {
	if (event.event !== "BLOCK_JOB_COMPLETED" && event.event !== "BLOCK_JOB_CANCELLED") return null;
	if (!guest.move?.copies.has(event.data.device)) return null;
	return copyFailed(guest, event.event === "BLOCK_JOB_COMPLETED" ? event.data.error : "it was ended");
}

function copyFailed(guest: QemuGuest, reason: string | undefined): SternaError {
	return new SternaError(
		"unavailable",
		`copying a volume of ${label(guest)} failed: ${reason ?? "it ended too early"}`,
	);
}

/** For a job that ended by itself in the meantime. */
function goneIsFine(error: unknown): void {
	const { code } = asSternaError(error);
	if (code !== "not_found" && code !== "wrong_state" && code !== "timeout") throw error;
}
