import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { PeerAddress } from "@sterna/shared/protocol/commands";
import { SignedPermit } from "@sterna/shared/protocol/permit";
import { z } from "zod";

/** How the guest came to run here: the answer to `incoming.run`, kept so that every repetition is answered the same way. */
export const Arrival = z.strictObject({
	migrationId: MigrationId,
	epoch: Epoch,
	/** Memory was lost and the guest was started from its disks. */
	restarted: z.boolean(),
	/** When the CPUs were let go, by this host's clock; null until they were. */
	resumedAt: TimestampMs.nullable(),
});
export type Arrival = z.infer<typeof Arrival>;

/** A move away from here that has not reached its commit point. */
export const Outgoing = z.strictObject({
	migrationId: MigrationId,
	epoch: Epoch,
	target: PeerAddress,
	/** What allows to ask for the target's discard, when the journal is lost. */
	permit: SignedPermit,
	/** It is being unwound and can no longer be released. */
	abandoned: z.boolean(),
});
export type Outgoing = z.infer<typeof Outgoing>;

const common = {
	guestId: GuestId,
	/** The highest epoch seen for this guest, also of moves that failed: whatever asks with less or the same is refused. */
	highestEpoch: Epoch,
	/** The last time the guest came here by a move. */
	arrival: Arrival.nullable(),
};

/** The content of the record file in the guest's folder. `none` stays for ever: a forgotten epoch could be obeyed again. */
export const OwnershipRecord = z.discriminatedUnion("role", [
	z.strictObject({ role: z.literal("owner"), epoch: Epoch, outgoing: Outgoing.nullable(), ...common }),
	z.strictObject({
		role: z.literal("incoming"),
		epoch: Epoch,
		migrationId: MigrationId,
		sourceHostId: HostId,
		...common,
	}),
	z.strictObject({
		role: z.literal("released"),
		epoch: Epoch,
		migrationId: MigrationId,
		target: PeerAddress,
		/** The target answered that it runs the guest; without, the hand-over is in doubt. */
		heard: z.boolean(),
		...common,
	}),
	z.strictObject({ role: z.literal("none"), ...common }),
]);
export type OwnershipRecord = z.infer<typeof OwnershipRecord>;
