import { GrantRole } from "@sterna/shared/guest";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { z } from "zod";

/**
 * Who may run a guest, as this host knows it durably (`record.json`). The epoch in it never goes down: it is the highest
 * that this host has seen for the guest, and it outlives the guest's deletion as a tombstone (`released`, no peer).
 */
export const GuestRecord = z.strictObject({
	guestId: GuestId,
	epoch: Epoch,
	role: GrantRole,
	/** The move that made this host `incoming` or `released`; for an owner the move that brought the guest, if any. */
	migrationId: MigrationId.nullable(),
	/** The other side of that move. */
	peerHostId: HostId.nullable(),
});
export type GuestRecord = z.infer<typeof GuestRecord>;

/** What the guest was last asked to do on this host (`run.json`). Says nothing about who may run it. */
export const RunRecord = z.strictObject({
	desired: z.enum(["running", "stopped"]),
	/** When it was started, by the clock of the host that started it; travels with the guest. */
	startedAt: TimestampMs.nullable(),
	/** The boot of this server in which it was started; another boot means that its process is gone. */
	bootId: z.string().max(64).nullable(),
	/** How its last process ended, when it was not asked to. */
	ending: z.string().max(500).nullable(),
});
export type RunRecord = z.infer<typeof RunRecord>;

export const notStarted: RunRecord = { desired: "stopped", startedAt: null, bootId: null, ending: null };
