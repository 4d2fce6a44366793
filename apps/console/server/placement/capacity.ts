import { SternaError } from "@sterna/shared/errors";
import { guestOverheadBytes, hostReserveBytes } from "@sterna/shared/guest";
import type { HostId } from "@sterna/shared/ids";
import { formatBytes } from "@sterna/shared/units";
import { eq, or, sql } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry, HostEntry, Inventory } from "../inventory/inventory.ts";

/** Memory that a host sets aside for a guest. */
export function grantedBytesOf(memoryBytes: number): number {
	return memoryBytes + guestOverheadBytes(memoryBytes);
}

/** Guests that have a place on the host: those it owns, and those on their way to it. */
export function guestsWithPlaceOn(inventory: Inventory, hostId: HostId): GuestEntry[] {
	return [...inventory.guests.values()].filter(
		({ grant }) => grant.ownerHostId === hostId || grant.permit?.targetHostId === hostId,
	);
}

/**
 * Makes sure that the host has room for `neededBytes` more, in the transaction that gives them away. The host's row is
 * held until it ends, and the sum is taken anew, so requests at the same time cannot both get the last room.
 * @throws {SternaError} `no_capacity`; `host_offline` when the host's size is not known; `wrong_state` out of service.
 */
export async function reserveMemory(tx: Transaction, host: HostEntry, neededBytes: number): Promise<void> {
	const [row] = await tx.select().from(tables.hosts).where(eq(tables.hosts.id, host.id)).for("update");
	if (!row || !host.facts) {
		throw new SternaError("host_offline", `the size of ${host.name} is not known: its agent was never heard`);
	}
	if (row.revokedAt !== null || row.mode !== "normal") {
		throw new SternaError(
			"wrong_state",
			`${host.name} takes no guests: it is ${row.revokedAt === null ? row.mode : "revoked"}`,
			{
				cure: "choose another host",
			},
		);
	}
	const [sum] = await tx
		.select({ bytes: sql<string>`coalesce(sum(${tables.guests.grantedBytes}), 0)` })
		.from(tables.guests)
		.where(or(eq(tables.guests.ownerHostId, host.id), eq(tables.guests.permitTargetHostId, host.id)));
	const total = host.facts.memoryBytes;
	const free = total - hostReserveBytes(total) - Number(sum?.bytes ?? 0);
	if (neededBytes > free) {
		throw new SternaError(
			"no_capacity",
			`${host.name} has ${formatBytes(Math.max(0, free))} of memory left; ${formatBytes(neededBytes)} are needed`,
			{ cure: "choose another host, or move guests away from this one first" },
		);
	}
}
