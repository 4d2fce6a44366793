import type { GuestSpec } from "@sterna/shared/guest";
import { guestOverheadBytes, hostReserveBytes } from "@sterna/shared/guest";
import type { HealthState } from "@sterna/shared/health";
import type { HostFacts, HostMode } from "@sterna/shared/host";
import type { HostId } from "@sterna/shared/ids";
import { formatBytes } from "@sterna/shared/units";

/** One host as placement sees it. Sums count every guest that is there or was promised the place. */
export interface PlacementHost {
	facts: HostFacts;
	online: boolean;
	mode: HostMode;
	health: HealthState;
	committedMemoryBytes: number;
	committedVcpus: number;
	/** Shares of one over the last minutes; null when not known. */
	cpuUsed: number | null;
	ioPressure: number | null;
}

export interface PlacementRequest {
	spec: GuestSpec;
	/** Hosts that are not to be considered: the guest's own, one that has just refused it. */
	exclude: ReadonlySet<HostId>;
	/** For a running guest: what its host must have as well. */
	running: { machine: string; accelerator: string; qemuVersion: string } | null;
	/** Decides between hosts that are as good: equal requests with equal seeds get equal answers. */
	seed: number;
}

export interface Placement {
	/** Best first. */
	candidates: { hostId: HostId; score: number }[];
	refused: { hostId: HostId; name: string; reason: string }[];
}

/** Why a host that is not heard is no place. */
export const outOfReach = "out of reach";

/** vCPUs per hardware thread. */
const maxVcpuRatio = 4;
const poolHeadroom = 0.1;
/** Scores this near to the best are as good: parallel requests then do not all pile up on one host. */
const asGoodAs = 0.02;

/**
 * Where a guest may go, best first, and why not elsewhere. The score is the imbalance of the whole fleet with the guest
 * on that host: 0.5 σ(memory) + 0.5 σ(vCPUs) + σ(CPU use) + σ(I/O pressure), plus a risk for hosts that are watched.
 */
export function place(request: PlacementRequest, hosts: readonly PlacementHost[]): Placement {
	const refused: Placement["refused"] = [];
	const fitting: PlacementHost[] = [];
	for (const host of hosts) {
		const reason = refuse(request, host);
		if (reason === null) fitting.push(host);
		else refused.push({ hostId: host.facts.hostId, name: host.facts.name, reason });
	}
	const scored = fitting.map((host) => ({
		hostId: host.facts.hostId,
		score: imbalanceWith(request.spec, host, hosts) + riskOf(host),
	}));
	scored.sort((a, b) => a.score - b.score || a.hostId.localeCompare(b.hostId));
	const best = scored[0]?.score ?? 0;
	const [equal, worse] = [
		scored.filter((c) => c.score <= best + asGoodAs),
		scored.filter((c) => c.score > best + asGoodAs),
	];
	return { candidates: [...shuffled(equal, request.seed), ...worse], refused };
}

function refuse({ spec, exclude, running }: PlacementRequest, host: PlacementHost): string | null {
	const { facts } = host;
	if (exclude.has(facts.hostId)) return "it is not to go there";
	if (!host.online) return outOfReach;
	if (host.mode !== "normal") return host.mode === "maintenance" ? "in maintenance" : "being evacuated";
	if (host.health === "degraded" || host.health === "failing") return `its health is ${host.health}`;
	const network = spec.nics.find((nic) => !facts.networks.some((offered) => offered.name === nic.network));
	if (network) return `has no network ${network.network}`;
	const volume = spec.volumes.find((wanted) => !facts.pools.some((pool) => pool.name === wanted.pool));
	if (volume) return `has no storage pool ${volume.pool}`;
	return refuseRunning(running, facts) ?? refuseImages(spec, facts) ?? refuseCapacity(spec, host);
}

function refuseRunning(running: PlacementRequest["running"], facts: HostFacts): string | null {
	if (!running) return null;
	if (running.accelerator !== facts.probe.accelerator)
		return `runs guests on ${facts.probe.accelerator}, not ${running.accelerator}`;
	return facts.machineTypes.includes(running.machine) ? null : `has no machine type ${running.machine}`;
}

function refuseImages({ boot, volumes }: GuestSpec, facts: HostFacts): string | null {
	const kernel = boot.from === "kernel" ? [boot.kernel, ...(boot.initrd ? [boot.initrd] : [])] : [];
	const needed = [...kernel, ...volumes.flatMap((volume) => (volume.fromImage ? [volume.fromImage] : []))];
	const missing = needed.find((name) => !facts.images.some((image) => image.name === name));
	return missing ? `has no image ${missing}` : null;
}

function refuseCapacity(
	spec: GuestSpec,
	{ facts, committedMemoryBytes, committedVcpus }: PlacementHost,
): string | null {
	const needed = spec.memoryBytes + guestOverheadBytes(spec.memoryBytes);
	const free = facts.memoryBytes - hostReserveBytes(facts.memoryBytes) - committedMemoryBytes;
	if (needed > free) return `has ${formatBytes(Math.max(0, free))} of memory left, ${formatBytes(needed)} are needed`;
	if (spec.vcpus > facts.cpuThreads) return `has ${facts.cpuThreads} CPU threads, the guest has ${spec.vcpus} vCPUs`;
	if (committedVcpus + spec.vcpus > facts.cpuThreads * maxVcpuRatio)
		return `has ${committedVcpus} vCPUs on ${facts.cpuThreads} threads already`;
	for (const pool of facts.pools) {
		const wanted = spec.volumes
			.filter((volume) => volume.pool === pool.name)
			.reduce((sum, volume) => sum + volume.sizeBytes, 0);
		if (pool.kind === "local" && wanted > Math.max(0, pool.freeBytes - pool.capacityBytes * poolHeadroom)) {
			return `its pool ${pool.name} has ${formatBytes(pool.freeBytes)} left`;
		}
	}
	return null;
}

function imbalanceWith(spec: GuestSpec, chosen: PlacementHost, hosts: readonly PlacementHost[]): number {
	const active = hosts.filter((host) => host.online && host.mode === "normal");
	const load = (host: PlacementHost) => {
		const here = host === chosen;
		const memory = host.committedMemoryBytes + (here ? spec.memoryBytes + guestOverheadBytes(spec.memoryBytes) : 0);
		const vcpus = host.committedVcpus + (here ? spec.vcpus : 0);
		const cpuAdded = here ? spec.vcpus / host.facts.cpuThreads / 4 : 0;
		return {
			memory: memory / Math.max(1, host.facts.memoryBytes),
			vcpus: vcpus / host.facts.cpuThreads,
			cpu: (host.cpuUsed ?? 0) + cpuAdded,
			io: host.ioPressure ?? 0,
		};
	};
	const loads = active.map(load);
	const chosenLoad = load(chosen);
	// Standard deviation tells how even the fleet is; the chosen host's own load tells equal deviations apart.
	return (
		0.5 * deviation(loads.map((l) => l.memory)) +
		0.5 * deviation(loads.map((l) => l.vcpus)) +
		deviation(loads.map((l) => l.cpu)) +
		deviation(loads.map((l) => l.io)) +
		0.1 * (chosenLoad.memory + chosenLoad.cpu + chosenLoad.io)
	);
}

function riskOf({ health }: PlacementHost): number {
	return health === "healthy" ? 0 : 0.5;
}

function deviation(values: readonly number[]): number {
	const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
	return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length));
}

/** Fisher and Yates' shuffle with a 32-bit linear congruential generator: only has to be the same for the same seed. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
	const result = [...items];
	let state = seed >>> 0;
	for (let left = result.length; left > 1; left--) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		const pick = Math.floor((state / 2 ** 32) * left);
		const taken = result.splice(pick, 1);
		result.push(...taken);
	}
	return result;
}
