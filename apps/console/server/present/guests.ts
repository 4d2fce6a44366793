import { refuseForget } from "../guests/forget.ts";
import type { GuestEntry, Inventory } from "../inventory/inventory.ts";
import { guestStanding } from "../inventory/standing.ts";
import { movingView } from "../migrations/present.ts";
import type { GuestRow, GuestView } from "../views-guests.ts";

/** Samples of a guest that is not running, or not heard, say nothing any more. */
const metricsFreshMs = 30_000;

export function guestRow(guest: GuestEntry, inventory: Inventory, now: number): GuestRow {
	const { state, report, host, online, remark } = guestStanding(guest, inventory, now);
	const move = inventory.moveUnderWay(guest.id);
	const fresh = online && state === "running" && guest.metrics && now - guest.metrics.at < metricsFreshMs;
	const metrics = fresh ? guest.metrics : null;
	return {
		id: guest.id,
		name: guest.name,
		state,
		remark,
		host: { id: host.id, name: host.name },
		hostOnline: host.connected,
		forgetRefusal: refuseForget(guest, inventory.host(guest.grant.ownerHostId), now),
		hostRevoked: inventory.host(guest.grant.ownerHostId).revokedAt !== null,
		moving: move ? movingView(move, inventory, now) : null,
		vcpus: guest.spec.vcpus,
		memoryBytes: guest.spec.memoryBytes,
		memoryResidentBytes: metrics?.memoryResidentBytes ?? null,
		cpuUsed: metrics?.cpuUsed ?? null,
		diskBytes: guest.spec.volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0),
		networks: [...new Set(guest.spec.nics.map((nic) => nic.network))],
		accelerator: report?.accelerator ?? null,
		// Nobody knows whether a guest that is not heard still runs: its clock must not go on.
		startedAt: state === "unknown" || state === "crashed" ? null : (report?.startedAt ?? null),
		tags: guest.tags,
		protection: guest.protection,
	};
}

export function guestView(guest: GuestEntry, inventory: Inventory, now: number): GuestView {
	const { report, host, online } = guestStanding(guest, inventory, now);
	return {
		...guestRow(guest, inventory, now),
		spec: guest.spec,
		epoch: guest.grant.ownerEpoch,
		machine: report?.machine ?? null,
		createdAt: guest.createdAt,
		volumeMove: (online && report?.volumeMove) || null,
		poolKinds: guest.spec.volumes.map(
			(volume) => host.facts?.pools.find((pool) => pool.name === volume.pool)?.kind ?? null,
		),
	};
}
