import { rm } from "node:fs/promises";
import { connectNbd } from "@sterna/nbd/client";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type { EndSnapshot, SnapshotReport, TakeSnapshot } from "../hypervisor.ts";
import { nodeIfThere, settleAll } from "./bitmaps.ts";
import type { QemuOptions } from "./driver.ts";
import type { QemuGuest } from "./guest.ts";
import { findExporter, snapshotSocket } from "./offline.ts";
import { guestPaths } from "./paths.ts";
import { endLeftFreeze } from "./snapshot-freeze.ts";
import { exportedVolumes, removeNodes } from "./snapshot-nodes.ts";
import { takeRunning } from "./snapshot-running.ts";
import { endExporter, settleStopped, takeStopped } from "./snapshot-stopped.ts";

/** Opens one instant of the volumes for reading; `guest` is null when it has no process. */
export async function takeSnapshot(
	options: QemuOptions,
	guest: QemuGuest | null,
	request: TakeSnapshot,
): Promise<SnapshotReport> {
	if (!/^[a-z0-9-]{1,31}$/.test(request.mark)) {
		throw new SternaError("invalid", `${JSON.stringify(request.mark)} is no name for a bitmap`);
	}
	if (request.volumes.length === 0) throw new SternaError("invalid", "a snapshot without volumes shows nothing");
	return guest === null
		? takeStopped({ options, guestId: request.guestId }, request)
		: takeRunning(options, guest, request);
}

/** False when a block of the instant was lost, or nothing is served any more. */
export async function isSnapshotWhole(
	options: QemuOptions,
	guest: QemuGuest | null,
	guestId: GuestId,
): Promise<boolean> {
	const paths = guestPaths(options.runFolder, guestId);
	// Nobody writes into the volumes of a stopped guest while they are served.
	if (guest === null) return (await findExporter(paths)) !== null;
	const served = await exportedVolumes(guest);
	if (served.length === 0) return false;
	try {
		// A snapshot that broke refuses every read, also of what it still has (block/copy-before-write.c of QEMU).
		for (const volumeId of served) {
			const client = await connectNbd({ socketPath: snapshotSocket(paths), exportName: volumeId, contexts: [] });
			await client.read(0, 512).finally(() => client.close());
		}
		return true;
	} catch {
		return false;
	}
}

/** Ends the snapshot, also one of an earlier life, from wherever that was interrupted. */
export async function endSnapshot(options: QemuOptions, guest: QemuGuest | null, request: EndSnapshot): Promise<void> {
	const paths = guestPaths(options.runFolder, request.guestId);
	await endExporter(paths);
	if (guest === null) {
		await settleStopped({ options, guestId: request.guestId }, request);
	} else {
		// Tried first, but nothing waits for it: a guest whose agent is gone must get rid of the snapshot all the same. What
		// says that file systems may be frozen stays, and the next snapshot's end tries again.
		await endLeftFreeze(guest).catch(() => undefined);
		await removeNodes(guest);
		await settleAll(guest.monitor, request, (volumeId) => nodeIfThere(guest, volumeId));
	}
	for (const { scratchPath } of request.volumes) await rm(scratchPath, { force: true });
}
