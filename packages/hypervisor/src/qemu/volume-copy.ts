import { chmod, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { MoveVolume } from "../hypervisor.ts";
import { type GuestRecord, readRecord, writeRecord } from "./record.ts";
import { syncFile } from "./sync-file.ts";
import { runTool } from "./tool.ts";
import { deleteVolume, inspectVolume } from "./volumes.ts";

const copyMs = 7 * 24 * 3600_000;
const sampleEveryMs = 500;

/**
 * Copies a volume whose guest has no process, with what was tracked of its changes, and deletes the old one when the new
 * one is whole and durable. While the old file is there it is the volume: a copy that was interrupted is made anew.
 */
export async function copyVolume(
	{ img, recordPath }: { img: string; recordPath: string },
	move: MoveVolume,
	signal: AbortSignal,
): Promise<void> {
	const { volumeId, from, to } = move;
	const record = await readRecord(recordPath);
	// A process that ended in the middle of a move, and whose files could not be seen to then.
	if (record?.moving) await writeRecord(recordPath, await settleFiles(record));
	const [old, present] = [await inspectVolume(img, { volumeId, path: from }), await stat(to).catch(() => null)];
	if (!old.exists && present) return;
	if (!old.exists) throw new SternaError("not_found", `the volume ${volumeId} is not there`);
	const partial = `${to}.partial`;
	const progress = setInterval(() => void tell(move, partial, old.allocatedBytes), sampleEveryMs);
	try {
		await rm(partial, { force: true });
		await runTool({
			program: img,
			// Bitmaps that cannot be trusted any more are no bitmaps.
			arguments: [
				...["convert", "-q", "-f", "qcow2", "-O", "qcow2", "--bitmaps", "--skip-broken-bitmaps"],
				...[from, partial],
			],
			timeoutMs: copyMs,
			purpose: `move the volume ${volumeId}`,
			signal,
		});
		await chmod(partial, 0o600);
		await syncFile(partial);
		await rename(partial, to);
		await syncFile(dirname(to));
	} catch (error) {
		await rm(partial, { force: true }).catch(() => undefined);
		throw error;
	} finally {
		clearInterval(progress);
	}
	move.onProgress({ totalBytes: old.allocatedBytes, transferredBytes: old.allocatedBytes });
	await deleteVolume({ volumeId, path: from });
	await syncFile(dirname(from));
}

/**
 * Of a guest whose volume was on its way to another file: deletes the one that is not the volume, durably. The record that
 * is to be kept then. None on its way: the same record.
 */
export async function settleFiles(record: GuestRecord): Promise<GuestRecord> {
	const { moving } = record;
	if (moving === null) return record;
	const volume = record.volumes.find(({ volumeId }) => volumeId === moving.volumeId);
	const path = volume?.path === moving.to ? moving.from : moving.to;
	await deleteVolume({ volumeId: moving.volumeId, path });
	await syncFile(dirname(path)).catch((error: NodeJS.ErrnoException) => {
		// A folder that is not there holds no file either.
		if (error.code !== "ENOENT") throw error;
	});
	return { ...record, moving: null };
}

async function tell({ onProgress }: MoveVolume, partial: string, totalBytes: number): Promise<void> {
	const file = await stat(partial).catch(() => null);
	// stat(2): blocks of 512 bytes.
	if (file) onProgress({ totalBytes, transferredBytes: Math.min(totalBytes, file.blocks * 512) });
}
