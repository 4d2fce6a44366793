import type { EvacuatingGuest, EvacuationView } from "@sterna/migration/evacuation";
import type { HostId } from "@sterna/shared/ids";
import type { GuestEntry, Inventory } from "../inventory/inventory.ts";
import { guestStanding } from "../inventory/standing.ts";
import { placementHosts } from "../placement/candidates.ts";

/** What is so at the moment, for the step function of an evacuation. */
export function sightOf(hostId: HostId, inventory: Inventory, now: number): EvacuationView {
	const incomingMoves = new Map<HostId, number>();
	let outgoingMoves = 0;
	for (const { grant } of inventory.guests.values()) {
		if (!grant.permit) continue;
		const { sourceHostId, targetHostId } = grant.permit;
		if (sourceHostId === hostId) outgoingMoves++;
		incomingMoves.set(targetHostId, (incomingMoves.get(targetHostId) ?? 0) + 1);
	}
	return {
		guests: inventory.guestsOf(hostId).map((guest) => evacuatingGuest(guest, inventory, now)),
		hosts: placementHosts(inventory, now),
		outgoingMoves,
		incomingMoves,
	};
}

function evacuatingGuest(guest: GuestEntry, inventory: Inventory, now: number): EvacuatingGuest {
	const { state, report, host } = guestStanding(guest, inventory, now);
	const { facts } = host;
	const running =
		report?.machine && report.accelerator && facts
			? { machine: report.machine, accelerator: report.accelerator, qemuVersion: facts.qemuVersion }
			: null;
	return {
		spec: guest.spec,
		state,
		running,
		diskBytes: localDiskBytes(guest, inventory),
		dirtyBytesPerSecond: 0,
		weight: 1,
		leaving: guest.grant.permit !== null,
	};
}

/** At most what must be copied: the whole size of volumes in local pools. What is allocated, only the source knows. */
export function localDiskBytes(guest: GuestEntry, inventory: Inventory): number {
	const pools = inventory.hosts.get(guest.grant.ownerHostId)?.facts?.pools ?? [];
	return guest.spec.volumes
		.filter((volume) => pools.find((pool) => pool.name === volume.pool)?.kind !== "shared")
		.reduce((sum, volume) => sum + volume.sizeBytes, 0);
}
