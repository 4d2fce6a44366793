import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import { formatDuration } from "@sterna/shared/units";
import { and, eq, isNull } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";
import type { BulkResult } from "../views-guests.ts";

/** A host that was revoked a moment ago may still be saying what it does; a person has this long to see it. */
const quietMs = 5 * 60_000;

/**
 * Why the guest is not forgotten; null when it may be. Only a revoked host's guest is: nobody believes that host again, no
 * other host was ever granted the guest, and with its record gone no grant of it can be made. So it runs there, unseen, or
 * nowhere, and never twice; its id is not used again, and what is restored from its backups is another guest.
 */
export function refuseForget(
	guest: Pick<GuestEntry, "name" | "existence" | "grant">,
	host: Pick<HostEntry, "name" | "revokedAt" | "connected">,
	now: number,
): { message: string; cure: string } | null {
	if (host.revokedAt === null || host.connected) {
		return {
			message: `${guest.name} is not forgotten: its host ${host.name} may come back with it`,
			cure: `wait for ${host.name}; if it is gone for ever, make sure that it is switched off and revoke it`,
		};
	}
	const quietForMs = now - host.revokedAt;
	if (quietForMs < quietMs) {
		return {
			message: `${guest.name} is not forgotten yet: ${host.name} was revoked ${formatDuration(Math.max(0, quietForMs))} ago`,
			cure: `make sure that ${host.name} is switched off, and try again in ${formatDuration(quietMs - Math.max(0, quietForMs))}`,
		};
	}
	if (guest.grant.permit !== null) {
		return {
			message: `${guest.name} is not forgotten: its last move is not settled, and its target may have it`,
			cure: "wait until the target of the move was heard, or revoke the target too",
		};
	}
	if (guest.existence === "restoring") {
		return {
			message: `${guest.name} is not forgotten: it is being restored`,
			cure: "try again in a moment: the restore ends, as its host was revoked",
		};
	}
	return null;
}

/**
 * Removes the record of a guest whose host is gone for ever. Its backups stay, its volumes are wherever they were.
 * @throws {SternaError} `invalid` when the typed name is another; `wrong_state` with what `refuseForget` says; `conflict`.
 */
export async function forgetGuest(core: Core, guest: GuestEntry, typedName: string, actor: string): Promise<void> {
	const { db, inventory, events, changes, now } = core;
	const host = inventory.host(guest.grant.ownerHostId);
	if (typedName !== guest.name)
		throw new SternaError("invalid", `the typed name is not ${guest.name}`, { cure: "type the guest's name" });
	const refusal = refuseForget(guest, host, now());
	if (refusal) throw new SternaError("wrong_state", refusal.message, { cure: refusal.cure });
	const { ownerHostId, ownerEpoch } = guest.grant;
	await db.transaction(async (tx) => {
		const { guests } = tables;
		const asItWas = and(eq(guests.id, guest.id), eq(guests.ownerHostId, ownerHostId), isNull(guests.permitMigrationId));
		const rows = await tx.delete(guests).where(asItWas).returning();
		if (rows.length === 0) throw new SternaError("conflict", `${guest.name} is being changed; it was not forgotten`);
		await events.append(
			{
				kind: "guest.forgotten",
				actor,
				objects: [
					{ type: "guest", id: guest.id, name: guest.name },
					{ type: "host", id: host.id, name: host.name },
				],
				sentence: `${actor} had ${guest.name} forgotten: its host ${host.name} is gone for ever`,
				evidence: { spec: guest.spec, epoch: ownerEpoch, lastKnown: guest.lastKnown },
				severity: "watch",
			},
			tx,
		);
	});
	inventory.guests.delete(guest.id);
	changes.touch("overview", "guests", "hosts", "protection", "jobs", `guest:${guest.id}`, `host:${host.id}`);
}

/** The same for many, whose names were seen and not typed; each has a result of its own. */
export async function forgetGuests(core: Core, guestIds: readonly GuestId[], actor: string): Promise<BulkResult[]> {
	const results: BulkResult[] = [];
	for (const guestId of new Set(guestIds)) {
		const name = core.inventory.guests.get(guestId)?.name ?? null;
		try {
			const guest = core.inventory.guest(guestId);
			await forgetGuest(core, guest, guest.name, actor);
			results.push({ guestId, name, ok: true, message: "forgotten", cure: null });
		} catch (thrown) {
			const { message, cure = null } = asSternaError(thrown);
			results.push({ guestId, name, ok: false, message, cure });
		}
	}
	return results;
}
