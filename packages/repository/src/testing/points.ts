import type { RecoveryPoint } from "@sterna/shared/backup";
import { GuestId, HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { type Codec, startCodec } from "../codec/codec.ts";
import { createRepository } from "../open.ts";
import type { Repository, WriteSession } from "../repository.ts";
import type { Storage } from "../storage.ts";
import { MemoryStorage } from "./memory-storage.ts";

export const testKeyBytes = new Uint8Array(32).map((_, index) => index);
export const testKey = await formatRepositoryKey(testKeyBytes);
const guestId = newId(GuestId);
const hostId = newId(HostId);

/** A new repository, in memory unless told otherwise. */
export async function newRepository(
	options: { storage?: Storage; blockSizeBytes?: number; codec?: Codec } = {},
): Promise<{ repository: Repository; storage: Storage; repositoryId: RepositoryId }> {
	const { storage = new MemoryStorage(), blockSizeBytes = 64 * 1024, codec = startCodec() } = options;
	const repositoryId = newId(RepositoryId);
	const repository = await createRepository(storage, { repositoryId, key: testKey, blockSizeBytes, codec });
	return { repository, storage, repositoryId };
}

/** What a test says about a point that it commits; times are chosen, never read. */
export function pointOf(pointId: PointId, parentPointId: PointId | null, volumeIds: VolumeId[], takenAt = 1_000) {
	return {
		pointId,
		guestId,
		guestName: "web-1",
		hostId,
		takenAt,
		finishedAt: takenAt + 1,
		parentPointId,
		consistency: "crash" as const,
		consistencyRemark: null,
		spec: {
			id: guestId,
			name: "web-1",
			vcpus: 1,
			memoryBytes: 1024 ** 3,
			boot: { from: "disk" as const },
			volumes: volumeIds.map((id) => ({ id, pool: "local", sizeBytes: 1024 ** 2 })),
			nics: [],
		},
	} satisfies Omit<RecoveryPoint, "repositoryId" | "volumes">;
}

/** Commits a session whose volumes are finished. */
export function commitAs(
	session: WriteSession,
	parentPointId: PointId | null,
	volumeIds: VolumeId[],
	takenAt?: number,
): Promise<RecoveryPoint> {
	const said = { read: "whole" as const, reason: "firstBackup" as const };
	const point = pointOf(session.pointId, parentPointId, volumeIds, takenAt);
	return session.commit(point, new Map(volumeIds.map((id) => [id, said])));
}

/** One whole disk as a new point: written where it differs from zeros, or inherited where `changed` leaves it out. */
export async function backUp(
	repository: Repository,
	disk: {
		volumeId: VolumeId;
		content: Uint8Array;
		parentPointId?: PointId | null;
		changed?: (block: number) => boolean;
	},
): Promise<RecoveryPoint> {
	const { volumeId, content, parentPointId = null, changed } = disk;
	const size = repository.blockSizeBytes;
	const session = await repository.beginSession({ pointId: newId(PointId), parentPointId });
	const writer = session.volume({ volumeId, sizeBytes: content.length, inherit: changed !== undefined });
	for (let block = 0; block < content.length / size; block++) {
		if (changed?.(block) ?? true) await writer.write(block * size, content.subarray(block * size, (block + 1) * size));
	}
	await writer.finish();
	return commitAs(session, parentPointId, [volumeId]);
}

/** A volume of a point as it would be restored. */
export async function restored(repository: Repository, pointId: PointId, volumeId: VolumeId): Promise<Buffer> {
	const reader = await repository.openPoint(pointId);
	const sizeBytes = reader.point.volumes.find((volume) => volume.volumeId === volumeId)?.sizeBytes ?? 0;
	const disk = Buffer.alloc(sizeBytes);
	const sink = async (offset: number, data: Uint8Array) => disk.set(data, offset);
	await reader.restore(volumeId, sink, { signal: AbortSignal.any([]) });
	await reader.close();
	return disk;
}

export { newId, PointId, VolumeId };
