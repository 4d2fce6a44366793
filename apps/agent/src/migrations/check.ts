import type { GuestSpec } from "@sterna/shared/guest";
import { guestOverheadBytes } from "@sterna/shared/guest";
import type { HostFacts } from "@sterna/shared/host";
import type { VolumeId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import type { IncomingGuest } from "@sterna/shared/protocol/commands";
import { formatBytes } from "@sterna/shared/units";
import type { Volume } from "@sterna/shared/volume";
import { claimConflict } from "../guests/claims.ts";

/** What the target knows of itself when a guest wants to come. */
export interface TargetSight {
	facts: HostFacts;
	/** Memory that guests may use together here, their overhead included. */
	guestMemoryBytes: number;
	/** The other guests of this host: owned or arriving. */
	others: readonly GuestSpec[];
}

/** Why the guest cannot come here, each with its cure; empty when it can. Pure. */
export function refuseIncoming(guest: IncomingGuest, sight: TargetSight): Refusal[] {
	const refusals = [
		...refuseEngine(guest, sight.facts),
		...refuseMemory(guest.spec, sight),
		...refuseStorage(guest, sight.facts),
		...refuseImages(guest, sight.facts),
		...refuseNetworks(guest.spec, sight.facts),
	];
	const conflict = claimConflict(guest.spec, sight.others);
	if (conflict) refusals.push({ code: "conflict", message: `${sight.facts.name}: ${conflict}` });
	return refusals;
}

/** The volumes whose content must travel: those whose pool is not one and the same, shared, on both hosts. */
export function volumesToCopy({ spec, volumes }: IncomingGuest, { pools }: HostFacts): Volume[] {
	const poolIdOf = new Map<VolumeId, string>(volumes.map(({ volumeId, poolId }) => [volumeId, poolId]));
	return spec.volumes.filter((volume) => {
		const here = pools.find(({ name }) => name === volume.pool);
		return here?.kind !== "shared" || here.poolId !== poolIdOf.get(volume.id);
	});
}

function refuseEngine({ machine, qemuVersion, accelerator }: IncomingGuest, facts: HostFacts): Refusal[] {
	const refusals: Refusal[] = [];
	const { name } = facts;
	if (facts.simulated !== (accelerator === "simulated")) {
		refusals.push(incompatible(`${name} runs ${facts.simulated ? "simulated" : "real"} guests only`));
	} else if (facts.probe.accelerator !== accelerator) {
		refusals.push(
			incompatible(
				`the guest runs on ${accelerator}, ${name} offers ${facts.probe.accelerator} (${facts.probe.reason})`,
				"move it to a host of the same kind, or shut it down first and start it there",
			),
		);
	}
	if (!facts.machineTypes.includes(machine)) {
		refusals.push(
			incompatible(
				`QEMU ${facts.qemuVersion} on ${name} does not know the guest's machine ${machine}`,
				"install a newer QEMU there",
			),
		);
	}
	if (isOlder(facts.qemuVersion, qemuVersion)) {
		refusals.push(
			incompatible(
				`QEMU ${facts.qemuVersion} on ${name} is older than ${qemuVersion}, which the guest runs on`,
				"upgrade QEMU there first",
			),
		);
	}
	if (accelerator === "tcg" && isOlder(facts.qemuVersion, "9.0.0")) {
		refusals.push(
			incompatible(
				`QEMU ${facts.qemuVersion} damages memory in a live migration without KVM`,
				"install QEMU 9 or newer, or make KVM usable",
			),
		);
	}
	return refusals;
}

function refuseMemory(spec: GuestSpec, { facts, guestMemoryBytes, others }: TargetSight): Refusal[] {
	const takes = ({ memoryBytes }: GuestSpec) => memoryBytes + guestOverheadBytes(memoryBytes);
	const taken = others.filter(({ id }) => id !== spec.id).reduce((sum, other) => sum + takes(other), 0);
	const free = Math.max(0, guestMemoryBytes - taken);
	if (takes(spec) <= free) return [];
	return [
		{
			code: "no_capacity",
			message: `the guest needs ${formatBytes(takes(spec))} of memory, ${facts.name} has ${formatBytes(free)} left for guests`,
			cure: "move another guest away first, or choose another host",
		},
	];
}

function refuseStorage(guest: IncomingGuest, facts: HostFacts): Refusal[] {
	const refusals: Refusal[] = [];
	const needed = new Map<string, number>();
	const copied = new Set(volumesToCopy(guest, facts).map(({ id }) => id));
	for (const volume of guest.spec.volumes) {
		if (!facts.pools.some(({ name }) => name === volume.pool)) {
			refusals.push(
				incompatible(
					`${facts.name} has no storage pool ${volume.pool}`,
					"add a pool of that name to its configuration",
				),
			);
		}
		const known = guest.volumes.find(({ volumeId }) => volumeId === volume.id);
		if (!known) refusals.push({ code: "invalid", message: `the source said nothing about volume ${volume.id}` });
		else if (copied.has(volume.id)) needed.set(volume.pool, (needed.get(volume.pool) ?? 0) + known.allocatedBytes);
	}
	for (const pool of facts.pools) {
		const bytes = needed.get(pool.name) ?? 0;
		if (bytes <= pool.freeBytes) continue;
		refusals.push({
			code: "no_capacity",
			message: `the guest's disks need ${formatBytes(bytes)}, pool ${pool.name} of ${facts.name} has ${formatBytes(pool.freeBytes)} free`,
			cure: "free space there or choose another host",
		});
	}
	return refusals;
}

function refuseImages({ images }: IncomingGuest, facts: HostFacts): Refusal[] {
	return Object.entries(images).flatMap(([name, sha256]): Refusal[] => {
		const here = facts.images.find((image) => image.name === name);
		if (here?.sha256 === sha256) return [];
		const message = here
			? `the image ${name} on ${facts.name} has another content than on the guest's host`
			: `${facts.name} has no image ${name}, which the guest boots from`;
		return [incompatible(message, "copy the image there")];
	});
}

function refuseNetworks({ nics }: GuestSpec, facts: HostFacts): Refusal[] {
	const missing = new Set(
		nics.map(({ network }) => network).filter((network) => !facts.networks.some(({ name }) => name === network)),
	);
	return [...missing].map((network) =>
		incompatible(`${facts.name} has no network ${network}`, "add it to that host's configuration"),
	);
}

function incompatible(message: string, cure?: string): Refusal {
	return { code: "incompatible", message, ...(cure ? { cure } : {}) };
}

/** Compares release numbers as `10.0.2`. */
function isOlder(version: string, than: string): boolean {
	const [a, b] = [version, than].map((text) => text.split(".").map(Number));
	for (let part = 0; part < 3; part++) {
		const difference = (a?.[part] ?? 0) - (b?.[part] ?? 0);
		if (difference !== 0) return difference < 0;
	}
	return false;
}
