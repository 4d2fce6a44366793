import { beginEvacuation, stepEvacuation } from "@sterna/migration/evacuation";
import { type IncompleteEvacuation, retryAt } from "@sterna/migration/evacuation-retry";
import type { HostId } from "@sterna/shared/ids";
import { desc, eq } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { HostEntry } from "../inventory/inventory.ts";
import { sightOf } from "./sight.ts";

/** Who begins them, in the event log. */
export const retryActor = "evacuation retry";

/** As many tries in a row as are told apart: the wait grows no more then. */
const countedTries = 16;

interface Parts {
	core: Pick<Core, "inventory" | "now">;
	/** How the last evacuation of the host ended; null when it was emptied or there was none. */
	incompleteOf(hostId: HostId): Promise<IncompleteEvacuation | null>;
	/** Refuses when the host has left maintenance meanwhile. */
	begin(request: { hostId: HostId; reason: string; requestedBy: string }): Promise<unknown>;
}

/**
 * Guests that could not leave a host out of service leave it when they can: a host came back, room was made, a paused guest
 * runs again. One host at a time, damped by `retryAt`.
 */
export class EvacuationRetries {
	readonly #parts: Parts;
	/** Since when a guest of the host could leave. */
	readonly #possibleSince = new Map<HostId, number>();

	constructor(parts: Parts) {
		this.#parts = parts;
	}

	/** Called every second. */
	async tick(): Promise<void> {
		const { core, incompleteOf, begin } = this.#parts;
		const { inventory } = core;
		const now = core.now();
		for (const host of inventory.hosts.values()) {
			const names = this.#whoCouldLeave(host, now);
			if (names.length === 0) this.#possibleSince.delete(host.id);
			else if (!this.#possibleSince.has(host.id)) this.#possibleSince.set(host.id, now);
		}
		for (const [hostId, since] of this.#possibleSince) {
			if (this.#isOneUnderWay()) return;
			const incomplete = await incompleteOf(hostId);
			if (!incomplete || now < retryAt(incomplete, since)) continue;
			this.#possibleSince.delete(hostId);
			// While the database was asked, a person may have put the host back into service.
			const names = this.#whoCouldLeave(inventory.host(hostId), now);
			if (names.length === 0) continue;
			const reason = `tried again: ${names.join(" and ")} can leave now`;
			await begin({ hostId, reason, requestedBy: retryActor });
		}
	}

	/** The retry of a host that fell silent rests until it is back, perhaps for ever: it holds up no other host. */
	#isOneUnderWay(): boolean {
		const { hosts, evacuations } = this.#parts.core.inventory;
		return [...evacuations.values()].some(
			({ requestedBy, hostId }) => requestedBy === retryActor && hosts.get(hostId)?.connected,
		);
	}

	/** The guests that an evacuation would move first; none where the host cannot be asked or is in service. */
	#whoCouldLeave(host: HostEntry, now: number): string[] {
		const { inventory } = this.#parts.core;
		const isLeft = host.mode === "maintenance" && host.revokedAt === null && host.connected && host.lastReport !== null;
		if (!isLeft) return [];
		const fresh = beginEvacuation({ hostId: host.id, hostName: host.name }, 0);
		const { start } = stepEvacuation(fresh, sightOf(host.id, inventory, now));
		return start.map(({ guestId }) => inventory.guest(guestId).name);
	}
}

/** Reads how the last evacuations of a host ended: the incomplete ones in a row, up to the first that was no retry. */
export async function incompleteEvacuation(
	{ db }: Pick<Core, "db">,
	hostId: HostId,
): Promise<IncompleteEvacuation | null> {
	const latest = await db
		.select()
		.from(tables.evacuations)
		.where(eq(tables.evacuations.hostId, hostId))
		.orderBy(desc(tables.evacuations.startedAt))
		.limit(countedTries);
	const endedAt = latest[0]?.endedAt;
	if (endedAt === null || endedAt === undefined || latest[0]?.state !== "incomplete") return null;
	const beganInRow = latest.findIndex(({ state, requestedBy }) => state !== "incomplete" || requestedBy !== retryActor);
	const isCounted = latest[beganInRow]?.state === "incomplete";
	return { endedAt, tries: beganInRow === -1 ? latest.length : beganInRow + (isCounted ? 1 : 0) };
}
