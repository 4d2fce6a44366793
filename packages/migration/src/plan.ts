import { type GuestState, guestOverheadBytes, hostReserveBytes } from "@sterna/shared/guest";
import type { HealthState } from "@sterna/shared/health";
import type { HostFacts, HostMode } from "@sterna/shared/host";
import type { GuestId, HostId } from "@sterna/shared/ids";
import type { MigrationPlan, Refusal } from "@sterna/shared/migration";
import type { IncomingGuest } from "@sterna/shared/protocol/commands";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { deadlines } from "./deadlines.ts";
import { defaultLinkBytesPerSecond, estimateMove } from "./estimate.ts";

/** Share of a pool that stays free: a full disk stops every guest on it. */
const poolHeadroom = 0.1;

/** What the target's side knows of itself and of the guests it has. */
export interface TargetState {
	facts: HostFacts;
	/** Memory and vCPUs of all guests that run here or are on their way, without the one that asks. */
	committedMemoryBytes: number;
	/** What of it belongs to guests on their way here, left-overs of moves that failed among them. */
	arrivingMemoryBytes: number;
	guests: readonly { guestId: GuestId; name: string }[];
}

/** What the console knows beside the hosts' facts. */
export interface TargetStanding {
	online: boolean;
	mode: HostMode;
	health: HealthState;
}

export interface PlanRequest {
	guest: IncomingGuest;
	guestState: GuestState;
	/** What the guest rewrites, if it was measured; 0 when unknown. */
	dirtyBytesPerSecond: number;
	source: HostFacts;
	target: { hostId: HostId; name: string } & (
		| { reachable: true; state: Pick<HostFacts, "pools" | "simulated">; refusals: readonly Refusal[] }
		| { reachable: false; reason: string }
	);
	linkBytesPerSecond?: number;
}

/** What moving this guest would do, or what refuses it. Pure: the target's refusals come from `checkIncoming` there. */
export function planMigration(request: PlanRequest): MigrationPlan {
	const { guest, source, target } = request;
	const { spec } = guest;
	const diskBytes = target.reachable ? copiedBytes(guest, target.state) : 0;
	const { durationMs, downtimeMs } = estimateMove({
		memoryBytes: spec.memoryBytes,
		diskBytes,
		dirtyBytesPerSecond: request.dirtyBytesPerSecond,
		linkBytesPerSecond: request.linkBytesPerSecond ?? defaultLinkBytesPerSecond,
	});
	const refusals = [...refuseAtSource(request), ...(target.reachable ? target.refusals : [])];
	return {
		guestId: spec.id,
		sourceHostId: source.hostId,
		targetHostId: target.hostId,
		refusals: refusals.slice(0, 50),
		steps: [
			`${target.name} prepares ${spec.name} with its CPUs held`,
			diskBytes > 0
				? `${formatBytes(diskBytes)} of disk are copied while it runs`
				: "its disks stay where they are: both hosts reach them",
			`${formatBytes(spec.memoryBytes)} of memory are copied while it runs`,
			`it pauses${downtimeMs === null ? "" : ` for about ${formatDuration(downtimeMs)}`}, and goes on on ${target.name}`,
			`${source.name} ends its process${diskBytes > 0 ? " and deletes its copy of the disks" : ""}`,
		],
		memoryBytes: spec.memoryBytes,
		diskBytes,
		predictedDurationMs: durationMs,
		predictedDowntimeMs: downtimeMs,
		undo: `until the hand-over it can be cancelled and runs on on ${source.name}; afterwards, move it back`,
	};
}

function refuseAtSource({ guest, guestState, source, target }: PlanRequest): Refusal[] {
	const { name } = guest.spec;
	const refusals: Refusal[] = [];
	if (target.hostId === source.hostId) {
		refusals.push({ code: "conflict", message: `${name} is on ${target.name} already`, cure: "choose another host" });
	}
	if (guestState !== "running") {
		refusals.push({
			code: "wrong_state",
			message: `${name} is ${guestState}; only a running guest moves live`,
			cure: `start ${name} first`,
		});
	}
	if (!target.reachable) {
		refusals.push({
			code: "host_offline",
			message: `${source.name} cannot reach ${target.name}: ${target.reason}`,
			cure: `see that the agent on ${target.name} runs and that the two hosts reach each other`,
		});
	}
	if (guest.accelerator === "tcg" && isOlder(guest.qemuVersion, "9.0.0")) {
		refusals.push({
			code: "incompatible",
			message: `QEMU ${guest.qemuVersion} on ${source.name} corrupts memory when it migrates guests without KVM`,
			cure: `install QEMU 9 or newer on ${source.name}, then stop and start ${name}`,
		});
	}
	return refusals;
}

/** Target's side: everything here that speaks against receiving this guest. Empty: it is welcome. */
export function checkIncoming(guest: IncomingGuest, target: TargetState): Refusal[] {
	const { facts, guests } = target;
	return [
		...checkIdentity(guest, facts, guests),
		...checkMachine(guest, facts),
		...checkNetworks(guest, facts),
		...checkMemory(guest, target),
		...checkPools(guest, facts),
		...checkImages(guest, facts),
	];
}

/** Console's side: whether a host takes guests at all now. */
export function checkStanding(hostName: string, { online, mode, health }: TargetStanding): Refusal[] {
	if (!online) {
		return [
			{ code: "host_offline", message: `${hostName} is out of reach`, cure: `see that the agent on ${hostName} runs` },
		];
	}
	if (mode !== "normal") {
		return [
			{ code: "wrong_state", message: `${hostName} is in maintenance`, cure: `end the maintenance of ${hostName}` },
		];
	}
	if (health === "degraded" || health === "failing") {
		return [
			{
				code: "wrong_state",
				message: `${hostName} is ${health} and takes no guests`,
				cure: `look at the health findings of ${hostName}`,
			},
		];
	}
	return [];
}

function checkIdentity({ spec }: IncomingGuest, facts: HostFacts, guests: TargetState["guests"]): Refusal[] {
	const double = guests.find((other) => other.name === spec.name && other.guestId !== spec.id);
	if (!double) return [];
	return [
		{ code: "conflict", message: `${facts.name} has another guest named ${spec.name}`, cure: "rename one of the two" },
	];
}

function checkMachine(guest: IncomingGuest, facts: HostFacts): Refusal[] {
	const refusals: Refusal[] = [];
	const incompatible = (message: string, cure: string) => refusals.push({ code: "incompatible", message, cure });
	const simulated = guest.accelerator === "simulated";
	if (simulated !== facts.simulated) {
		const [here, there] = simulated ? ["real", "simulated"] : ["simulated", "real"];
		incompatible(`${facts.name} runs ${here} guests; ${guest.spec.name} is ${there}`, "choose a host of the same kind");
		return refusals;
	}
	if (guest.accelerator !== facts.probe.accelerator) {
		incompatible(
			`${guest.spec.name} runs on ${guest.accelerator}, ${facts.name} has ${facts.probe.accelerator} (${facts.probe.reason})`,
			`choose a host with ${guest.accelerator}, or shut the guest down and start it there`,
		);
	}
	if (isOlder(facts.qemuVersion, guest.qemuVersion)) {
		incompatible(
			`QEMU ${facts.qemuVersion} on ${facts.name} is older than ${guest.qemuVersion} that ${guest.spec.name} runs on`,
			`upgrade QEMU on ${facts.name} to ${guest.qemuVersion} or newer`,
		);
	}
	if (!facts.machineTypes.includes(guest.machine)) {
		incompatible(
			`${facts.name} has no machine type ${guest.machine}`,
			`install a QEMU on ${facts.name} that has ${guest.machine}`,
		);
	}
	if (guest.accelerator === "tcg" && isOlder(facts.qemuVersion, "9.0.0")) {
		incompatible(
			`QEMU ${facts.qemuVersion} on ${facts.name} corrupts memory when it migrates guests without KVM`,
			`install QEMU 9 or newer on ${facts.name}`,
		);
	}
	if (guest.spec.vcpus > facts.cpuThreads) {
		refusals.push({
			code: "no_capacity",
			message: `${guest.spec.name} has ${guest.spec.vcpus} vCPUs, ${facts.name} has ${facts.cpuThreads} threads`,
			cure: "choose a host with more CPUs",
		});
	}
	return refusals;
}

function checkNetworks({ spec }: IncomingGuest, facts: HostFacts): Refusal[] {
	const missing = new Set(spec.nics.map((nic) => nic.network));
	for (const { name } of facts.networks) missing.delete(name);
	return [...missing].map((network) => ({
		code: "not_found",
		message: `${facts.name} has no network ${network}`,
		cure: `add the network ${network} on ${facts.name}`,
	}));
}

function checkMemory({ spec }: IncomingGuest, target: TargetState): Refusal[] {
	const { facts, committedMemoryBytes, arrivingMemoryBytes } = target;
	const free = facts.memoryBytes - hostReserveBytes(facts.memoryBytes) - committedMemoryBytes;
	const needed = spec.memoryBytes + guestOverheadBytes(spec.memoryBytes);
	if (needed <= free) return [];
	const message = `${spec.name} needs ${formatBytes(needed)} of memory, ${facts.name} has ${formatBytes(Math.max(0, free))} left`;
	if (needed > free + arrivingMemoryBytes)
		return [{ code: "no_capacity", message, cure: `move guests away from ${facts.name}, or choose another host` }];
	return [
		{
			code: "no_capacity",
			message: `${message}; ${formatBytes(arrivingMemoryBytes)} are held for guests on their way there`,
			cure: `wait: what a failed move has left there is removed ${formatDuration(deadlines.leaseMs)} after it at the latest`,
		},
	];
}

function checkPools(guest: IncomingGuest, facts: HostFacts): Refusal[] {
	const refusals: Refusal[] = [];
	const neededBytes = new Map<string, number>();
	for (const volume of guest.spec.volumes) {
		const pool = facts.pools.find((candidate) => candidate.name === volume.pool);
		const known = guest.volumes.find((candidate) => candidate.volumeId === volume.id);
		if (!pool) {
			if (neededBytes.has(volume.pool)) continue;
			refusals.push({
				code: "not_found",
				message: `${facts.name} has no storage pool ${volume.pool}`,
				cure: `add a pool named ${volume.pool} on ${facts.name}`,
			});
			neededBytes.set(volume.pool, 0);
		} else if (pool.poolId !== known?.poolId) {
			neededBytes.set(volume.pool, (neededBytes.get(volume.pool) ?? 0) + (known?.allocatedBytes ?? volume.sizeBytes));
		}
	}
	for (const pool of facts.pools) {
		const needed = neededBytes.get(pool.name) ?? 0;
		const free = Math.max(0, pool.freeBytes - pool.capacityBytes * poolHeadroom);
		if (needed <= free) continue;
		refusals.push({
			code: "no_capacity",
			message: `${guest.spec.name} brings ${formatBytes(needed)} of disk, pool ${pool.name} on ${facts.name} has ${formatBytes(free)} left`,
			cure: `free space in pool ${pool.name} on ${facts.name}`,
		});
	}
	return refusals;
}

function checkImages(guest: IncomingGuest, facts: HostFacts): Refusal[] {
	return Object.entries(guest.images).flatMap(([name, sha256]): Refusal[] => {
		const image = facts.images.find((candidate) => candidate.name === name);
		if (image?.sha256 === sha256) return [];
		const message = image
			? `the image ${name} on ${facts.name} has another content`
			: `${facts.name} has no image ${name}`;
		return [{ code: image ? "incompatible" : "not_found", message, cure: `copy the image ${name} to ${facts.name}` }];
	});
}

/** Allocated bytes of the volumes that the two hosts do not share. */
function copiedBytes(guest: IncomingGuest, target: Pick<HostFacts, "pools">): number {
	const shared = new Set(target.pools.map((pool) => pool.poolId));
	return guest.volumes
		.filter((volume) => !shared.has(volume.poolId))
		.reduce((sum, volume) => sum + volume.allocatedBytes, 0);
}

/** Compares dotted version numbers; what is no number counts as 0. */
export function isOlder(version: string, than: string): boolean {
	const parts = (text: string) => text.split(".").map((part) => Number.parseInt(part, 10) || 0);
	const [a, b] = [parts(version), parts(than)];
	for (let i = 0; i < Math.max(a.length, b.length); i++) {
		const difference = (a[i] ?? 0) - (b[i] ?? 0);
		if (difference !== 0) return difference < 0;
	}
	return false;
}
