import { DrillCheck, RestoreMode, RestorePhase } from "@sterna/shared/backup";
import { WireError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { Epoch, GuestId, HostId, PointId, RepositoryId, RestoreId, TimestampMs, VolumeId } from "@sterna/shared/ids";
import { z } from "zod";
import { Lacking } from "../guests/run-record.ts";

/** What a restore is: everything that is needed to go on with it after a restart of the agent, but for the repository's key. */
export const RestoreFacts = z.strictObject({
	restoreId: RestoreId,
	mode: RestoreMode,
	pointId: PointId,
	repositoryId: RepositoryId,
	hostId: HostId,
	/** The guest to be; for a drill the one that runs, under an id of its own and without networks. */
	spec: GuestSpec,
	/** The guest that the report names. */
	guestId: GuestId,
	epoch: Epoch,
	volumes: z.array(z.strictObject({ from: VolumeId, to: VolumeId })).max(16),
	check: DrillCheck.nullable(),
	start: z.boolean(),
	/** The guest as it was here before; null for one that is new on this host. */
	before: GuestSpec.nullable(),
	/** What its volumes lacked before. */
	beforeLacking: Lacking.nullable().default(null),
	startedAt: TimestampMs,
});
export type RestoreFacts = z.infer<typeof RestoreFacts>;

/** One line of a restore's journal, durable before the next thing is done. */
export const RestoreEntry = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("opened"), at: TimestampMs, restore: RestoreFacts }),
	z.strictObject({ type: z.literal("phaseBegan"), at: TimestampMs, phase: RestorePhase }),
	/** From here on the guest has the restored volumes: a `copy` only goes forward, an `instant` is filled. */
	z.strictObject({ type: z.literal("placing"), at: TimestampMs }),
	/** The guest is started next: from here on it may have run, until `notBooted` says that it has not. */
	z.strictObject({ type: z.literal("booting"), at: TimestampMs }),
	/** There is no process, and the volumes hold nothing yet: whether it was started or not, nothing of it would be lost. */
	z.strictObject({ type: z.literal("notBooted"), at: TimestampMs }),
	z.strictObject({ type: z.literal("booted"), at: TimestampMs, afterMs: z.number().min(0) }),
	z.strictObject({ type: z.literal("proved"), at: TimestampMs, afterMs: z.number().min(0) }),
	z.strictObject({ type: z.literal("pictured"), at: TimestampMs }),
	/** Everything is in the volumes; nothing is read from the repository any more. */
	z.strictObject({ type: z.literal("filled"), at: TimestampMs }),
	/** A person ended it for good: the guest keeps what its volumes have, and is not started from them. */
	z.strictObject({ type: z.literal("givenUp"), at: TimestampMs }),
	z.strictObject({ type: z.literal("undoing"), at: TimestampMs, cancelled: z.boolean(), error: WireError }),
	z.strictObject({ type: z.literal("ended"), at: TimestampMs, state: z.enum(["completed", "failed", "cancelled"]) }),
	z.strictObject({ type: z.literal("note"), at: TimestampMs, text: z.string().max(500) }),
]);
export type RestoreEntry = z.infer<typeof RestoreEntry>;
