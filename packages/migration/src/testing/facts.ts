import { GuestSpec } from "@sterna/shared/guest";
import { HostFacts } from "@sterna/shared/host";
import { GuestId, HostId, VolumeId } from "@sterna/shared/ids";
import { IncomingGuest } from "@sterna/shared/protocol/commands";
import { GiB } from "@sterna/shared/units";
import type { PlacementHost } from "../placement.ts";

const uuid = (kind: string, n: number) => `00000000-0000-4000-8${kind}-${String(n).padStart(12, "0")}`;
export const hostIdFor = (n: number) => HostId.parse(uuid("001", n));
export const guestIdFor = (n: number) => GuestId.parse(uuid("002", n));
export const volumeIdFor = (n: number) => VolumeId.parse(uuid("003", n));
export const poolIdFor = (n: number) => uuid("004", n);

/** Host `n` with its own local pool, 16 GiB of memory and 8 threads, unless said otherwise. */
export function hostFacts(n: number, patch: Partial<HostFacts> = {}): HostFacts {
	return HostFacts.parse({
		hostId: hostIdFor(n),
		name: `host${n}`,
		agentVersion: "0.1.0",
		bootId: "boot",
		peerAddress: "192.0.2.1",
		peerPort: 7400,
		operatingSystem: "Debian 13",
		kernel: "6.12",
		cpuModel: "cpu",
		cpuThreads: 8,
		memoryBytes: 16 * GiB,
		qemuVersion: "10.0.2",
		machineTypes: ["pc-q35-10.0", "pc-q35-9.2"],
		probe: { accelerator: "kvm", reason: "a payload booted" },
		pools: [{ name: "local", poolId: poolIdFor(n), kind: "local", capacityBytes: 100 * GiB, freeBytes: 80 * GiB }],
		networks: [{ name: "lan", kind: "bridge" }],
		images: [{ name: "vmlinuz", sizeBytes: 1, sha256: "a".repeat(64) }],
		repositoryFolders: [],
		simulated: false,
		...patch,
	});
}

export function guestSpec(n: number, patch: Partial<GuestSpec> = {}): GuestSpec {
	return GuestSpec.parse({
		id: guestIdFor(n),
		name: `guest${n}`,
		vcpus: 2,
		memoryBytes: 2 * GiB,
		boot: { from: "kernel", kernel: "vmlinuz", commandLine: "" },
		volumes: [{ id: volumeIdFor(n), pool: "local", sizeBytes: 10 * GiB }],
		nics: [{ mac: "52:54:00:00:00:01", network: "lan" }],
		...patch,
	});
}

/** A running guest of host 1, as it presents itself to another host. */
export function incomingGuest(n: number, patch: Partial<IncomingGuest> = {}): IncomingGuest {
	return IncomingGuest.parse({
		spec: guestSpec(n),
		machine: "pc-q35-10.0",
		qemuVersion: "10.0.2",
		accelerator: "kvm",
		volumes: [{ volumeId: volumeIdFor(n), poolId: poolIdFor(1), allocatedBytes: 3 * GiB }],
		images: { vmlinuz: "a".repeat(64) },
		...patch,
	});
}

export function placementHost(n: number, patch: Partial<PlacementHost> = {}): PlacementHost {
	return {
		facts: hostFacts(n),
		online: true,
		mode: "normal",
		health: "healthy",
		committedMemoryBytes: 0,
		committedVcpus: 0,
		cpuUsed: 0,
		ioPressure: 0,
		...patch,
	};
}
