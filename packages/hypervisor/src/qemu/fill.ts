import { setTimeout as delay } from "node:timers/promises";
import { connectNbd } from "@sterna/nbd/client";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { DiskProgress, HypervisorFacts, ProcessReport, StartRequest, VolumeSource } from "../hypervisor.ts";
import type { CommandReturns } from "../qmp/generated/schema.ts";
import { readBlockNodes } from "./bitmaps.ts";
import { sourceNode } from "./block-nodes.ts";
import { volumeNodes } from "./disk-devices.ts";
import { isIncomplete, needsSource } from "./fill-mark.ts";
import { giveSources } from "./fill-sources.ts";
import { keepRecord, label, nodeOf, type QemuGuest, reportOf, volumeIndex } from "./guest.ts";
import { checkSocketPath } from "./paths.ts";
import { chooseMachine } from "./probe.ts";
import type { QemuProcesses } from "./processes.ts";
import { syncFile } from "./sync-file.ts";
import { supportsDirectIo } from "./volumes.ts";

type Job = CommandReturns["query-block-jobs"][number];

const blockCommandMs = 10_000;
const sampleEveryMs = 250;
/** A job that stands because its source failed asks it again after this. */
const retryEveryMs = 1000;

/**
 * Starts a guest whose volumes are not here yet. Volumes that are complete by now are started without their sources.
 * @throws {SternaError} `unavailable` when a source does not answer, and what a start throws.
 */
export async function startFrom(
	img: string,
	processes: QemuProcesses,
	facts: HypervisorFacts,
	request: StartRequest,
	sources: readonly VolumeSource[],
): Promise<ProcessReport> {
	const needed: VolumeSource[] = [];
	for (const source of sources) {
		checkSocketPath(source.socket);
		const location = request.volumes.find(({ volumeId }) => volumeId === source.volumeId);
		if (!location) throw new SternaError("invalid", `guest ${request.spec.name} has no volume ${source.volumeId}`);
		processes.refuseProcess(request.spec.id, request.spec.name);
		if (!(await needsSource(img, location))) continue;
		await refuseBlockStatus(source);
		needed.push(source);
	}
	const machine = chooseMachine(facts, request.spec.machine);
	return processes.launch(request, { machine, incoming: false, seats: [], facts, sources: needed }, async (guest) => {
		const report = await reportOf(guest);
		if (report.state === "running" || report.heldByStorage) return report;
		throw new SternaError("internal", `${label(guest)} was started and is ${report.state}`);
	});
}

/**
 * Copies what is missing of the guest's volumes, for as long as it takes, also over the absences of their sources. When
 * fulfilled the volumes stand alone and nothing of QEMU refers to a source. Aborted: what was copied stays, the rest is
 * still read from the sources, and a later call goes on.
 */
export async function fillVolumes(
	guest: QemuGuest,
	onProgress: (progress: DiskProgress) => void,
	signal: AbortSignal,
): Promise<void> {
	const { monitor } = guest;
	const sizes = new Map((await readBlockNodes(monitor)).map((node) => [node["node-name"], node.image["virtual-size"]]));
	const totalBytes = guest.record.volumes.reduce(
		(sum, { volumeId }) => sum + (sizes.get(nodeOf(guest, volumeId)) ?? 0),
		0,
	);
	const failures = new Map<string, string>();
	const stop = monitor.onEvent((event) => {
		if (event.event === "BLOCK_JOB_COMPLETED" && event.data.error) failures.set(event.data.device, event.data.error);
	});
	try {
		for (const source of guest.record.sources) {
			signal.throwIfAborted();
			await fillOne(guest, source, failures, signal, (restBytes) =>
				onProgress({
					totalBytes,
					transferredBytes: Math.max(0, totalBytes - restBytes - missingAfter(guest, source, sizes)),
				}),
			);
		}
		onProgress({ totalBytes, transferredBytes: totalBytes });
	} catch (error) {
		if (!signal.aborted) throw error;
		throw new SternaError("cancelled", `filling the volumes of ${label(guest)} was cancelled`, { cause: error });
	} finally {
		stop();
	}
}

/**
 * The filter under QEMU's stream job takes a block status that fails for the end of the disk (cor_co_preadv_part in
 * block/copy-on-read.c of 10.0): the guest would read what happens to be in its memory, and a hole would be taken for
 * copied. A source without block status is read instead, and a read that fails is told as what it is.
 * @throws {SternaError} `incompatible` for a source with block status, `unavailable` when it does not answer.
 */
async function refuseBlockStatus({ socket, exportName, volumeId }: VolumeSource): Promise<void> {
	const context = "base:allocation";
	try {
		await (await connectNbd({ socketPath: socket, exportName, contexts: [context] })).close();
	} catch (error) {
		if (asSternaError(error).code !== "not_found") throw error;
		await (await connectNbd({ socketPath: socket, exportName, contexts: [] })).close();
		return;
	}
	throw new SternaError(
		"incompatible",
		`the source of the volume ${volumeId} describes its blocks; a guest cannot start from it`,
	);
}

async function fillOne(
	guest: QemuGuest,
	source: VolumeSource,
	failures: Map<string, string>,
	signal: AbortSignal,
	onRest: (restBytes: number) => void,
): Promise<void> {
	const { monitor } = guest;
	const index = volumeIndex(guest, source.volumeId);
	const path = guest.record.volumes[index]?.path ?? "";
	const name = `fill${index}`;
	const options = { timeoutMs: blockCommandMs };
	if ((await isIncomplete(path)) && (await jobOf(guest, name)) === null) {
		const device = nodeOf(guest, source.volumeId);
		await monitor.execute(
			"block-stream",
			{ "job-id": name, device, "on-error": "stop", "auto-finalize": false },
			options,
		);
	}
	let triedAt = Date.now();
	for (let job = await jobOf(guest, name); job !== null; job = await jobOf(guest, name)) {
		onRest(job.len - job.offset);
		if (signal.aborted) {
			await endJob(guest, name);
			signal.throwIfAborted();
		}
		if (job.status === "pending") {
			// All is copied. What QEMU still holds of the file's tables is written first: the mark must not go before them.
			await flush(guest, index);
			await monitor.execute("job-finalize", { id: name }, options);
		} else if (hasStopped(job) && Date.now() - triedAt > retryEveryMs) {
			triedAt = Date.now();
			await giveSources(guest);
			await monitor.execute("block-job-resume", { device: name }, options).catch(() => undefined);
		}
		await delay(job.status === "pending" ? 10 : sampleEveryMs, undefined, { signal }).catch(() => undefined);
	}
	if (await isIncomplete(path)) {
		const why = failures.get(name) ?? "the copying ended too early";
		throw new SternaError(
			"unavailable",
			`the volume ${source.volumeId} of ${label(guest)} could not be filled: ${why}`,
		);
	}
	await syncFile(path);
	await letGo(guest, source, index);
}

/** An error stopped it. `cont` of the guest clears the error (qmp_cont of QEMU) and leaves the job standing. */
function hasStopped(job: Job): boolean {
	return job["io-status"] !== "ok" || job.status === "paused";
}

/** Nothing refers to the source any more. */
async function letGo(guest: QemuGuest, { volumeId }: VolumeSource, index: number): Promise<void> {
	const present = await readBlockNodes(guest.monitor);
	if (present.some((node) => node["node-name"] === sourceNode(index))) {
		await guest.monitor.execute("blockdev-del", { "node-name": sourceNode(index) }, { timeoutMs: blockCommandMs });
	}
	await keepRecord(guest, { sources: guest.record.sources.filter((source) => source.volumeId !== volumeId) });
}

/** Reopening a node as it is flushes it (bdrv_reopen_prepare of QEMU): there is no command that only does that. */
async function flush(guest: QemuGuest, index: number): Promise<void> {
	const volume = guest.record.volumes[index];
	if (!volume) return;
	const node = nodeOf(guest, volume.volumeId);
	const nodes = volumeNodes({ node, path: volume.path, directIo: await supportsDirectIo(volume.path) });
	const qcow2 = nodes.find(({ driver }) => driver === "qcow2");
	if (qcow2?.driver !== "qcow2") return;
	const options = [{ ...qcow2, backing: sourceNode(index) }];
	await guest.monitor.execute("blockdev-reopen", { options }, { timeoutMs: 60_000 });
}

async function endJob(guest: QemuGuest, name: string): Promise<void> {
	await guest.monitor
		.execute("block-job-cancel", { device: name, force: true }, { timeoutMs: blockCommandMs })
		.catch(() => undefined);
	const deadline = Date.now() + blockCommandMs;
	while ((await jobOf(guest, name)) !== null) {
		if (Date.now() > deadline) throw new SternaError("timeout", `filling ${label(guest)} does not end`);
		await delay(10);
	}
}

async function jobOf(guest: QemuGuest, name: string): Promise<Job | null> {
	const jobs = await guest.monitor.execute("query-block-jobs", {}, { timeoutMs: blockCommandMs });
	return jobs.find(({ device }) => device === name) ?? null;
}

/** What the sources after this one still have to give, at most. */
function missingAfter(guest: QemuGuest, source: VolumeSource, sizes: Map<string | undefined, number>): number {
	const { sources } = guest.record;
	const later = sources.slice(sources.findIndex(({ volumeId }) => volumeId === source.volumeId) + 1);
	return later.reduce((sum, { volumeId }) => sum + (sizes.get(nodeOf(guest, volumeId)) ?? 0), 0);
}
