import type { VolumeLocation } from "@sterna/hypervisor/hypervisor";
import type { GuestSpec } from "@sterna/shared/guest";
import type { RestoreId, VolumeId } from "@sterna/shared/ids";
import type { Hold } from "./holds.ts";
import type { Lacking, RunRecord } from "./run-record.ts";

/** What a person reads of a guest whose restore was given up. */
export const lackingRemark =
	"its restore was given up and its disks are half filled; delete it, or restore over it again";

const hold: Hold = {
	reason: "has half-filled disks: its restore was given up",
	cure: "delete it, or restore over it again",
	refuses: ["start", "migrate", "backup", "changeVolumes"],
};

/** A guest with half-filled volumes may only be deleted or restored over: it would run from, and save, what never was. */
export function lackingHold(run: Pick<RunRecord, "lacking"> | undefined): Hold | null {
	return run?.lacking ? hold : null;
}

/** Where what a volume was before a restore over it is kept, until the restore is over. */
export function asidePath(path: string, restoreId: RestoreId): string {
	return `${path}.before-${restoreId}`;
}

/** What the volumes were before restores over them that were given up: nobody reaches that any more once the guest is whole, or gone. */
export function asideOf(lacking: Lacking | null, volumes: readonly VolumeLocation[]): VolumeLocation[] {
	const ids = new Set(lacking?.volumeIds);
	const left = volumes.filter(({ volumeId }) => ids.has(volumeId));
	return (lacking?.restoreIds ?? []).flatMap((restoreId) =>
		left.map(({ volumeId, path }) => ({ volumeId, path: asidePath(path, restoreId) })),
	);
}

/** What is lacking once `brought` are whole or being filled and the guest is as `spec` says. Pure. */
export function stillLacking(
	lacking: Lacking | null,
	spec: Pick<GuestSpec, "volumes">,
	brought: readonly VolumeId[],
): Lacking | null {
	const volumeIds = lacking?.volumeIds.filter(
		(id) => spec.volumes.some((one) => one.id === id) && !brought.includes(id),
	);
	return lacking && volumeIds?.length ? { ...lacking, volumeIds } : null;
}
