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

/** A place where backups are kept. Given when the repository is made, written into it, never reused. */
export const RepositoryId = z.uuid().brand<"RepositoryId">();
export type RepositoryId = z.infer<typeof RepositoryId>;

/** One state of one guest that can be restored. Also names the session that writes it and the bitmaps that begin at it. */
export const PointId = z.uuid().brand<"PointId">();
export type PointId = z.infer<typeof PointId>;

/** What is backed up when, where to, and for how long. */
export const BackupJobId = z.uuid().brand<"BackupJobId">();
export type BackupJobId = z.infer<typeof BackupJobId>;

/** One attempt to bring a guest back, wholly or one disk of it; a drill is one too. */
export const RestoreId = z.uuid().brand<"RestoreId">();
export type RestoreId = z.infer<typeof RestoreId>;

/** One round of upkeep of a repository: scrub, collection, canary. */
export const UpkeepId = z.uuid().brand<"UpkeepId">();
export type UpkeepId = z.infer<typeof UpkeepId>;

/**
 * A new random id of the given kind: `newId(GuestId)`. A UUID of version 4 (RFC 9562, section 5.4), made by hand: browsers
 * have `crypto.randomUUID` only on pages that came over HTTPS or from the same machine.
 */
export function newId<Id>(kind: { parse(value: string): Id }): Id {
	const octets = crypto.getRandomValues(new Uint8Array(16));
	octets[6] = 0x40 | ((octets[6] ?? 0) & 0x0f);
	octets[8] = 0x80 | ((octets[8] ?? 0) & 0x3f);
	const hex = Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
	return kind.parse(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
}

/**
 * Which grant to run a guest is meant. Each grant is higher than the last; whoever stored a higher one refuses this one.
 * A guest starts its life with epoch 1.
 */
export const Epoch = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
export type Epoch = z.infer<typeof Epoch>;

/** A point in time, milliseconds since 1970-01-01 UTC. */
export const TimestampMs = z.int().min(0);
