import { RestoreId, TimestampMs, VolumeId } from "@sterna/shared/ids";
import { z } from "zod";

/** Volumes that hold only a part of what they should, for good: the restores that filled them were given up, the latest last. */
export const Lacking = z.strictObject({
	restoreIds: z.array(RestoreId).min(1).max(50),
	volumeIds: z.array(VolumeId).min(1).max(16),
});
export type Lacking = z.infer<typeof Lacking>;

/**
 * What the guest was last asked to do on this host (`run.json`). Says nothing about who may run it: that is the
 * ownership record's (`migration/handover.ts`).
 */
export const RunRecord = z.strictObject({
	/** `deleted`: its volumes are to go as soon as the ownership record lets go of it. */
	desired: z.enum(["running", "stopped", "deleted"]),
	/** When it was started, by the clock of the host that started it; travels with the guest. */
	startedAt: TimestampMs.nullable(),
	/** The boot of this server in which it was last seen running; in another boot its process is certainly gone. */
	bootId: z.string().max(64).nullable(),
	/** How its last process ended, when it was not asked to. */
	ending: z.string().max(500).nullable(),
	/** The guest is never started from these; null when all are whole or are being filled. */
	lacking: Lacking.nullable().default(null),
});
export type RunRecord = z.infer<typeof RunRecord>;

export const notStarted: RunRecord = { desired: "stopped", startedAt: null, bootId: null, ending: null, lacking: null };
