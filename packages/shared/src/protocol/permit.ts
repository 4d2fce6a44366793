import { z } from "zod";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "../ids.ts";

/**
 * The console's word that one guest may move from one host to another under one epoch. The source shows it to the
 * target, which checks the signature with the console's key: no agent can push a guest onto another by itself.
 */
export const Permit = z.strictObject({
	migrationId: MigrationId,
	guestId: GuestId,
	epoch: Epoch,
	sourceHostId: HostId,
	targetHostId: HostId,
	/** For beginning only; a migration under way is not ended by it. */
	expiresAt: TimestampMs,
});
export type Permit = z.infer<typeof Permit>;

/**
 * `payload` is the permit's JSON text, `signature` is ECDSA P-256 with SHA-256 (DER) over exactly these bytes by
 * the key of the console's certificate authority, both as base64url.
 */
export const SignedPermit = z.strictObject({ payload: z.base64url().max(4096), signature: z.base64url().max(512) });
export type SignedPermit = z.infer<typeof SignedPermit>;
