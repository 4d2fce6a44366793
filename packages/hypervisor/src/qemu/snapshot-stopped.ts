import { stat } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { EndSnapshot, SnapshotReport, TakeSnapshot } from "../hypervisor.ts";
import { beginMark, checkBitmaps, endSince, readBlockNodes, runTransaction, settleAll, trackingIn } from "./bitmaps.ts";
import { findExporter, type StoppedGuest, snapshotSocket, startExporter, withStoppedVolumes } from "./offline.ts";
import { type GuestPaths, guestPaths } from "./paths.ts";
import { killProcess } from "./process.ts";
import { Undo } from "./undo.ts";

/** The files of a guest without a process as they are. It cannot be started until the snapshot has ended. */
export async function takeStopped(guest: StoppedGuest, request: TakeSnapshot): Promise<SnapshotReport> {
	const paths = guestPaths(guest.options.runFolder, guest.guestId);
	if ((await findExporter(paths)) !== null) {
		throw new SternaError("conflict", `a snapshot of guest ${guest.guestId} is open already`, {
			cure: "end that one first",
		});
	}
	const takenAt = Date.now();
	const { mark, volumes } = request;
	const undo = new Undo();
	try {
		const sizes = await withStoppedVolumes(guest, { volumes, readOnly: false }, async (monitor, nodeOfVolume) => {
			const nodes = await readBlockNodes(monitor);
			const all = volumes.map((volume) => ({ ...volume, node: nodeOfVolume(volume.volumeId) }));
			const trackings = all.map(({ volumeId, node }) => trackingIn(nodes, volumeId, node));
			for (const [index, tracking] of trackings.entries()) {
				checkBitmaps(tracking, { mark, since: volumes[index]?.since ?? null });
			}
			undo.add(() => settleStopped(guest, { ...request, outcome: "failed" }));
			const actions = all.flatMap(({ node, since }) => [beginMark(node, mark), ...endSince(node, since)]);
			await runTransaction(monitor, actions);
			return trackings.map(({ sizeBytes }) => sizeBytes);
		});
		await startExporter(guest, volumes);
		undo.drop();
		return {
			takenAt,
			consistency: "stopped",
			remark: null,
			frozenMs: null,
			socket: snapshotSocket(paths),
			volumes: volumes.map(({ volumeId, since }, index) => ({
				volumeId,
				sizeBytes: sizes[index] ?? 0,
				changes: since === null ? null : `qemu:dirty-bitmap:${since}`,
			})),
		};
	} catch (error) {
		await undo.run();
		throw error;
	}
}

/** Ends the process that serves a stopped guest's volumes, whichever life started it. None: no change. */
export async function endExporter(paths: GuestPaths): Promise<void> {
	const exporter = await findExporter(paths);
	if (exporter !== null) await killProcess(exporter);
}

/** The bitmaps in the files, where they are; a volume that is gone has none. */
export async function settleStopped(guest: StoppedGuest, end: EndSnapshot): Promise<void> {
	const there = await Promise.all(
		end.volumes.map(({ path }) =>
			stat(path).then(
				() => true,
				() => false,
			),
		),
	);
	const volumes = end.volumes.filter((_, index) => there[index]);
	if (volumes.length === 0) return;
	await withStoppedVolumes(guest, { volumes, readOnly: false }, (monitor, nodeOfVolume) =>
		settleAll(monitor, { ...end, volumes }, nodeOfVolume),
	);
}
