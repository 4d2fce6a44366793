import { outOfReach, type PlacementHost, type PlacementRequest, place } from "@sterna/migration/placement";
import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { HostId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import { formatDuration } from "@sterna/shared/units";
import type { HostEntry, Inventory } from "../inventory/inventory.ts";
import { connectionOf, healthStateOf } from "../inventory/standing.ts";
import type { PlacementCandidate } from "../views-guests.ts";
import { guestsWithPlaceOn } from "./capacity.ts";

/** Hosts as the planner sees them. One whose agent was never heard has no facts and is no candidate. */
export function placementHosts(inventory: Inventory, now: number): PlacementHost[] {
	return [...inventory.hosts.values()].flatMap((host) => {
		const asPlacement = placementHost(host, inventory, now);
		return asPlacement ? [asPlacement] : [];
	});
}

/** One host as the planner sees it; null when its agent was never heard. */
export function placementHost(host: HostEntry, inventory: Inventory, now: number): PlacementHost | null {
	if (!host.facts || host.revokedAt !== null) return null;
	const guests = guestsWithPlaceOn(inventory, host.id);
	return {
		facts: host.facts,
		online: host.connected && connectionOf(host, now) === "online",
		mode: host.mode,
		health: healthStateOf(host, now),
		committedMemoryBytes: guests.reduce((sum, guest) => sum + guest.grantedBytes, 0),
		committedVcpus: guests.reduce((sum, guest) => sum + guest.spec.vcpus, 0),
		cpuUsed: host.metrics?.cpuUsed ?? null,
		ioPressure: host.metrics?.ioPressure ?? null,
	};
}

export interface PlacementChoice {
	/** Best first. */
	hostIds: HostId[];
	candidates: PlacementCandidate[];
}

/** Where the guest may go, best first, with a sentence for every host that was not left out or revoked. */
export function choosePlacement(
	inventory: Inventory,
	request: { spec: GuestSpec; exclude?: ReadonlySet<HostId>; running?: PlacementRequest["running"]; wanted?: HostId },
	now: number,
): PlacementChoice {
	const { spec, exclude = new Set(), running = null, wanted } = request;
	const placement = place({ spec, exclude, running, seed: seedOf(spec.id) }, placementHosts(inventory, now));
	const fitting = placement.candidates.filter(({ hostId }) => !wanted || hostId === wanted);
	const chosen = fitting[0]?.hostId;
	const candidates: PlacementCandidate[] = placement.candidates.map(({ hostId, score }) => ({
		host: { id: hostId, name: inventory.hostName(hostId) },
		chosen: hostId === chosen,
		score,
		reasons: reasonsFor(inventory.host(hostId)),
		refusals: [],
	}));
	for (const { hostId, name, reason } of placement.refused) {
		if (exclude.has(hostId)) continue;
		const silent = reason === outOfReach ? silence(inventory.host(hostId), now) : null;
		candidates.push(refused({ id: hostId, name }, silent ?? { code: codeOf(reason), message: reason }));
	}
	for (const host of inventory.hosts.values()) {
		if (host.facts || host.revokedAt !== null || exclude.has(host.id)) continue;
		candidates.push(refused(host, { code: "host_offline", message: "its agent was never heard" }));
	}
	return { hostIds: fitting.map(({ hostId }) => hostId), candidates };
}

/**
 * The error for a guest that no host can take: it names every host with its reason, so that nobody has to guess which of
 * them to wait for or to make room on.
 */
export function nobodyTakes(
	guestName: string,
	candidates: readonly Pick<PlacementCandidate, "host" | "refusals">[],
	cure: string,
): SternaError {
	const reasons = candidates.map(({ host, refusals }) => `${host.name}: ${refusals[0]?.message ?? "not asked"}`);
	const more = reasons.length - namedHosts;
	const named = [...reasons.slice(0, namedHosts), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
	const [first] = candidates.flatMap(({ refusals }) => refusals);
	const message = `no host can take ${guestName}: ${named || "there is no other host"}`.slice(0, 4000);
	return new SternaError(first?.code ?? "no_capacity", message, { cure });
}

/** As many reasons as a person reads and an error carries. */
const namedHosts = 20;

function refused({ id, name }: { id: HostId; name: string }, refusal: Refusal): PlacementCandidate {
	return { host: { id, name }, chosen: false, score: null, reasons: [], refusals: [refusal] };
}

/** An agent that is silent for seconds is mostly starting again: whoever reads that waits instead of looking for a fault. */
function silence({ silentSince, name }: HostEntry, now: number): Refusal {
	const since = silentSince === null ? "since this console began" : `for ${formatDuration(now - silentSince)}`;
	return {
		code: "host_offline",
		message: `its agent has not been heard ${since}`,
		cure: `wait until it is heard again; after a minute, see that the agent on ${name} runs`,
	};
}

function reasonsFor(host: HostEntry): string[] {
	const cpu = host.metrics ? `${Math.round(host.metrics.cpuUsed * 100)} % of its CPU in use` : "CPU use not known";
	return [cpu, ...(host.findings.length > 0 ? ["watched: it has findings"] : [])];
}

function codeOf(reason: string): Refusal["code"] {
	if (reason === outOfReach) return "host_offline";
	if (/memory left|vCPUs|left$/.test(reason)) return "no_capacity";
	return /maintenance|evacuated|health/.test(reason) ? "wrong_state" : "incompatible";
}

/** The same guest gets the same answer in plan and in deed; different guests spread. */
function seedOf(id: string): number {
	return Number.parseInt(id.slice(0, 8), 16);
}
