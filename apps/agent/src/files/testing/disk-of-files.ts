import { execFileSync } from "node:child_process";
import { openSync, readSync, statSync } from "node:fs";
import type { PointReader } from "@sterna/repository/repository";
import { RecoveryPoint } from "@sterna/shared/backup";
import type { VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";

/** Makes a raw disk whose whole content is an ext4 with the files of `folder` (mke2fs(8), option -d). */
export function makeDisk(path: string, folder: string, sizeBytes: number): void {
	const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
	execFileSync("mke2fs", ["-q", "-t", "ext4", "-d", folder, path, `${sizeBytes / 1024}k`], { env });
}

/** A recovery point with one disk that is a raw file. */
export function readerOfFile(path: string, volumeId: VolumeId): PointReader & { closed: boolean } {
	const file = openSync(path, "r");
	const sizeBytes = statSync(path).size;
	const reader = {
		closed: false,
		point: pointWith(volumeId, Math.ceil(sizeBytes / MiB) * MiB),
		async read(_volumeId: VolumeId, offset: number, lengthBytes: number) {
			const data = Buffer.alloc(lengthBytes);
			readSync(file, data, 0, lengthBytes, offset);
			return data;
		},
		async *extents(_volumeId: VolumeId, offset: number, lengthBytes: number) {
			yield { offset, lengthBytes, zero: false };
		},
		async restore() {
			throw new Error("nothing is restored here");
		},
		async close() {
			reader.closed = true;
		},
	};
	return reader;
}

function pointWith(volumeId: VolumeId, sizeBytes: number): RecoveryPoint {
	const id = "11111111-1111-4111-8111-111111111111";
	return RecoveryPoint.parse({
		pointId: id,
		repositoryId: id,
		guestId: id,
		guestName: "web-1",
		hostId: id,
		takenAt: 1,
		finishedAt: 2,
		parentPointId: null,
		consistency: "crash",
		consistencyRemark: null,
		spec: {
			id,
			name: "web-1",
			vcpus: 1,
			memoryBytes: 128 * MiB,
			boot: { from: "disk" },
			volumes: [{ id: volumeId, pool: "local", sizeBytes }],
			nics: [],
		},
		volumes: [
			{ volumeId, sizeBytes, readBytes: 0, storedBytes: 0, changedBytes: 0, read: "whole", reason: "firstBackup" },
		],
	});
}
