import { z } from "zod";

/** A server that runs an agent. Given at joining, never reused. */
export const HostId = z.uuid().brand<"HostId">();
export type HostId = z.infer<typeof HostId>;

/** A virtual machine. Stays the same on every host that it ever runs on. */
export const GuestId = z.uuid().brand<"GuestId">();
export type GuestId = z.infer<typeof GuestId>;

/** A guest's disk. */
export const VolumeId = z.uuid().brand<"VolumeId">();
export type VolumeId = z.infer<typeof VolumeId>;

/** One attempt to move one guest; a retry is a new migration. */
export const MigrationId = z.uuid().brand<"MigrationId">();
export type MigrationId = z.infer<typeof MigrationId>;

/** The emptying of one host. */
export const EvacuationId = z.uuid().brand<"EvacuationId">();
export type EvacuationId = z.infer<typeof EvacuationId>;

/** A new random id of the given kind: `newId(GuestId)`. */
export function newId<Id>(kind: { parse(value: string): Id }): Id {
	return kind.parse(crypto.randomUUID());
}

/**
 * Which grant to run a guest is meant. Each grant is higher than the last; whoever stored a higher one refuses this one.
 * A guest starts its life with epoch 1.
 */
export const Epoch = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
export type Epoch = z.infer<typeof Epoch>;

/** A point in time, milliseconds since 1970-01-01 UTC. */
export const TimestampMs = z.int().min(0);
