import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type PointReader, ReaderId, type Repository } from "@sterna/repository/repository";
import { SternaError } from "@sterna/shared/errors";
import type { PointId, VolumeId } from "@sterna/shared/ids";

const run = promisify(execFile);

export interface RestoredFile {
	volumeId: VolumeId;
	path: string;
	sizeBytes: number;
}

/**
 * Writes the disks of a point into `folder`, as `<guest>-<volume>.raw` or `.qcow2`. Every byte was checked; zeros stay holes.
 * On failure the file at hand is removed. The point is held meanwhile, where the place can be written.
 * @throws {SternaError} `conflict` when a file is there already; `invalid` naming bytes that are damaged; those of the storage.
 */
export async function restoreVolumes(
	repository: Repository,
	order: {
		pointId: PointId;
		folder: string;
		volumeIds: readonly VolumeId[] | null;
		format: "raw" | "qcow2";
		onProgress: (doneBytes: number, totalBytes: number) => void;
	},
): Promise<RestoredFile[]> {
	const { folder, format, onProgress } = order;
	const isFolder = await stat(folder)
		.then((found) => found.isDirectory())
		.catch(() => false);
	if (!isFolder) throw new SternaError("not_found", `there is no folder ${folder}`, { cure: "make it first" });
	const readerId = ReaderId.parse(randomUUID());
	const reader = await repository.openPoint(order.pointId, { readerId });
	try {
		const volumeIds = order.volumeIds ?? reader.point.volumes.map(({ volumeId }) => volumeId);
		const files: RestoredFile[] = [];
		for (const volumeId of volumeIds) {
			const volume = reader.point.volumes.find((each) => each.volumeId === volumeId);
			if (!volume) throw new SternaError("not_found", `the point has no disk ${volumeId}`);
			const { sizeBytes } = volume;
			const path = join(folder, `${reader.point.guestName}-${volumeId}.${format}`);
			if (format === "raw") await writeRaw(reader, volumeId, sizeBytes, path, onProgress);
			else await writeQcow2(reader, volumeId, sizeBytes, path, onProgress);
			files.push({ volumeId, path, sizeBytes });
		}
		return files;
	} finally {
		await reader.close();
		// Best effort: the place may be away, or take nothing. A hold that stays is found dead by a later collection.
		await repository.endReading(readerId).catch(() => {});
	}
}

async function writeRaw(
	reader: PointReader,
	volumeId: VolumeId,
	sizeBytes: number,
	path: string,
	onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
	const file = await open(path, "wx", 0o600).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code === "EEXIST") throw new SternaError("conflict", `${path} is there already`, { cause });
		throw new SternaError("unavailable", `${path} cannot be made: ${cause.message}`, { cause });
	});
	try {
		await file.truncate(sizeBytes);
		const sink = async (offset: number, data: Uint8Array) => {
			for (let at = 0; at < data.length; )
				at += (await file.write(data, at, data.length - at, offset + at)).bytesWritten;
		};
		const told = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
			onProgress(doneBytes, totalBytes);
		await reader.restore(volumeId, sink, { signal: AbortSignal.any([]), onProgress: told });
		await file.sync();
		await file.close();
	} catch (error) {
		await file.close().catch(() => {});
		await rm(path, { force: true });
		throw error;
	}
}

/** By way of a raw file beside it: qemu-img is told both formats, so that nothing is guessed from what a guest wrote. */
async function writeQcow2(
	...[reader, volumeId, sizeBytes, path, onProgress]: Parameters<typeof writeRaw>
): Promise<void> {
	const taken = await stat(path).catch(() => null);
	if (taken) throw new SternaError("conflict", `${path} is there already`);
	const raw = `${path}.raw`;
	await writeRaw(reader, volumeId, sizeBytes, raw, onProgress);
	try {
		await run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "--", raw, path]);
	} catch (cause) {
		await rm(path, { force: true });
		throw new SternaError("unavailable", "qemu-img could not make the qcow2 file", {
			cure: "install qemu-utils, or restore with --format raw",
			cause,
		});
	} finally {
		await rm(raw, { force: true });
	}
}
