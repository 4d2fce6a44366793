import { hostReserveBytes } from "@sterna/shared/guest";
import { healthSentence } from "../health/policy.ts";
import { emptyIn } from "../hosts/maintenance.ts";
import type { FindingEntry, HostEntry, Inventory } from "../inventory/inventory.ts";
import { connectionOf, guestStanding, healthStateOf } from "../inventory/standing.ts";
import { guestsWithPlaceOn } from "../placement/capacity.ts";
import type { EmptyIn, FindingView, HostRow, HostView } from "../views-hosts.ts";

/** Planning how a host is emptied costs more than all else on a page: it is looked at again after this time. */
const estimateKeptMs = 2000;
const estimates = new WeakMap<HostEntry, { at: number; standing: string; value: EmptyIn }>();

function estimateOf(host: HostEntry, inventory: Inventory, now: number): EmptyIn {
	const kept = estimates.get(host);
	const standing = `${host.mode} ${host.connected}`;
	if (kept && kept.standing === standing && now - kept.at < estimateKeptMs) return kept.value;
	const value = emptyIn(host.id, inventory, now);
	estimates.set(host, { at: now, standing, value });
	return value;
}

export function hostRow(host: HostEntry, inventory: Inventory, now: number): HostRow {
	const { facts, metrics } = host;
	const guests = inventory.guestsOf(host.id);
	const online = connectionOf(host, now) === "online";
	return {
		id: host.id,
		name: host.name,
		connection: connectionOf(host, now),
		quarantinedBecause: host.quarantinedBecause,
		mode: host.mode,
		health: healthStateOf(host, now),
		healthSentence: healthSentence(host.findings.map(({ finding }) => finding)),
		cpuUsed: online ? (metrics?.cpuUsed ?? null) : null,
		cpuThreads: facts?.cpuThreads ?? null,
		memoryTotalBytes: facts?.memoryBytes ?? null,
		memoryUsedBytes: online ? (metrics?.memoryUsedBytes ?? null) : null,
		memoryGrantedBytes: guestsWithPlaceOn(inventory, host.id).reduce((sum, guest) => sum + guest.grantedBytes, 0),
		memoryReserveBytes: facts ? hostReserveBytes(facts.memoryBytes) : 0,
		guestsRunning: guests.filter((guest) => guestStanding(guest, inventory, now).state === "running").length,
		guestsTotal: guests.length,
		emptyIn: estimateOf(host, inventory, now),
		accelerator: facts?.probe.accelerator ?? null,
		simulated: facts?.simulated ?? false,
		address: facts?.peerAddress ?? null,
		agentVersion: facts?.agentVersion ?? null,
		qemuVersion: facts?.qemuVersion ?? null,
		lastHeardAt: host.lastHeardAt,
	};
}

export function hostView(host: HostEntry, inventory: Inventory, now: number): HostView {
	const { facts } = host;
	return {
		...hostRow(host, inventory, now),
		joinedAt: host.joinedAt,
		certificateExpiresAt: host.certificateExpiresAt,
		operatingSystem: facts?.operatingSystem ?? null,
		kernel: facts?.kernel ?? null,
		cpuModel: facts?.cpuModel ?? null,
		probe: facts?.probe ?? null,
		pools: facts?.pools ?? [],
		networks: facts?.networks ?? [],
		images: facts?.images ?? [],
		findings: host.findings.map((entry) => findingView(entry, inventory)),
		evacuationId: [...inventory.evacuations.values()].find(({ hostId }) => hostId === host.id)?.id ?? null,
	};
}

export function findingView(entry: FindingEntry, inventory: Inventory): FindingView {
	return {
		...entry.finding,
		id: entry.id,
		host: { id: entry.hostId, name: inventory.hostName(entry.hostId) },
		state: entry.state,
		clearedAt: entry.clearedAt,
		releasedAt: entry.releasedAt,
		releasedBy: entry.releasedBy,
		action: entry.action,
	};
}
