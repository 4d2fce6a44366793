import { rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { EndSnapshot, SnapshotReport, TakeSnapshot } from "../hypervisor.ts";
import {
	beginMark,
	checkBitmaps,
	endSince,
	nodeIfThere,
	readBlockNodes,
	runTransaction,
	settleAll,
	trackingIn,
} from "./bitmaps.ts";
import { checkReachable, giveTo } from "./confinement.ts";
import type { QemuOptions } from "./driver.ts";
import { label, nodeOf, type QemuGuest, refuseCopying, reportOf } from "./guest.ts";
import { snapshotSocket } from "./offline.ts";
import { takeInstant } from "./snapshot-freeze.ts";
import { beginKeeping, exportInstant, hasSnapshotNodes, prepareNodes, removeNodes } from "./snapshot-nodes.ts";
import { runTool } from "./tool.ts";
import { Undo } from "./undo.ts";

const quickMs = 30_000;

/**
 * One instant of a guest with a process. Marks begin before it and `since` ends after it: what is written in between is
 * in both, so it is read once too often and never once too little.
 */
export async function takeRunning(
	options: QemuOptions,
	guest: QemuGuest,
	request: TakeSnapshot,
): Promise<SnapshotReport> {
	const { monitor } = guest;
	const isRunning = await checkReady(guest);
	const nodes = await readBlockNodes(monitor);
	const volumes = request.volumes.map((volume) => {
		const tracking = trackingIn(nodes, volume.volumeId, nodeOf(guest, volume.volumeId));
		checkBitmaps(tracking, { mark: request.mark, since: volume.since });
		return { ...volume, sizeBytes: tracking.sizeBytes, disk: nodeOf(guest, volume.volumeId) };
	});
	const end: EndSnapshot = { ...request, outcome: "failed" };
	const undo = new Undo();
	try {
		for (const { scratchPath, sizeBytes } of volumes) {
			undo.add(() => rm(scratchPath, { force: true }));
			await createScratch(options, guest, scratchPath, sizeBytes);
		}
		undo.add(() => settleAll(monitor, end, (volumeId) => nodeIfThere(guest, volumeId)));
		await runTransaction(
			monitor,
			volumes.map(({ disk }) => beginMark(disk, request.mark)),
		);
		undo.add(() => removeNodes(guest));
		await prepareNodes(guest, volumes);
		const freezes = { wanted: request.freeze, isRunning };
		const instant = await takeInstant(guest, freezes, () => beginKeeping(guest, volumes));
		await runTransaction(
			monitor,
			volumes.flatMap(({ disk, since }) => endSince(disk, since)),
		);
		const socket = snapshotSocket(guest.paths);
		await exportInstant(guest, volumes, socket);
		undo.drop();
		return {
			takenAt: instant.takenAt,
			consistency: instant.frozenMs === null ? "crash" : "application",
			remark: instant.remark,
			frozenMs: instant.frozenMs,
			socket,
			volumes: volumes.map(({ volumeId, sizeBytes, since }) => ({
				volumeId,
				sizeBytes,
				changes: since === null ? null : `qemu:dirty-bitmap:${since}`,
			})),
		};
	} catch (error) {
		await undo.run();
		throw error;
	}
}

/** Whether it runs. @throws {SternaError} `wrong_state`, `conflict` */
async function checkReady(guest: QemuGuest): Promise<boolean> {
	const { state } = await reportOf(guest);
	if (state !== "running" && state !== "paused") {
		throw new SternaError("wrong_state", `cannot take a snapshot of ${label(guest)}: it is ${state}`);
	}
	refuseCopying(guest, "take a snapshot of");
	// Also what an earlier life of the driver began.
	if ((await guest.monitor.execute("query-block-jobs", {})).length > 0) {
		throw new SternaError("wrong_state", `cannot take a snapshot of ${label(guest)}: its volumes are being copied`);
	}
	if (await hasSnapshotNodes(guest)) {
		throw new SternaError("conflict", `a snapshot of ${label(guest)} is open already`, { cure: "end that one first" });
	}
	return state === "running";
}

async function createScratch(options: QemuOptions, guest: QemuGuest, path: string, sizeBytes: number): Promise<void> {
	const { uid } = guest.record;
	await checkReachable(uid, path);
	await rm(path, { force: true });
	await runTool({
		program: options.programs.img,
		arguments: ["create", "-q", "-f", "qcow2", path, String(sizeBytes)],
		timeoutMs: quickMs,
		purpose: `make the scratch file of a snapshot of ${label(guest)}`,
	});
	await giveTo(uid, path);
}
