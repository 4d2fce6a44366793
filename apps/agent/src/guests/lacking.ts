import type { GuestSpec } from "@sterna/shared/guest";
import type { VolumeId } from "@sterna/shared/ids";
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
