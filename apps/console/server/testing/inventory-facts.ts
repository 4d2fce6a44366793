import { GuestSpec } from "@sterna/shared/guest";
import { HostFacts } from "@sterna/shared/host";
import { GuestId, HostId, newId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";

/** A host in service with 16 GiB, 8 threads and the image `vmlinuz`, heard now, unless said otherwise. */
export function hostEntry(name: string, patch: Partial<HostEntry> = {}): HostEntry {
	const id = newId(HostId);
	const facts = HostFacts.parse({
		...{ hostId: id, name, agentVersion: "0.1.0", bootId: "b", peerAddress: "192.0.2.1", peerPort: 7400 },
		...{ operatingSystem: "Debian 13", kernel: "6.12", cpuModel: "cpu", cpuThreads: 8, memoryBytes: 16 * GiB },
		...{ qemuVersion: "10.0.2", machineTypes: ["pc-q35-10.0"], probe: { accelerator: "kvm", reason: "" } },
		...{ pools: [], networks: [], images: [{ name: "vmlinuz", sizeBytes: 1, sha256: "a".repeat(64) }] },
		...{ repositoryFolders: [], simulated: false },
	});
	return {
		...{ id, name, facts, mode: "normal", revokedAt: null, quarantinedBecause: null, joinedAt: 0 },
		...{ certificateExpiresAt: null, metrics: null, findings: [], connected: true, silentSince: null },
		...{ lastHeardAt: 0, lastReport: { run: "r", id: 1 } },
		...patch,
	};
}

export function guestSpecOf(name: string): GuestSpec {
	return GuestSpec.parse({
		...{ id: newId(GuestId), name, vcpus: 1, memoryBytes: GiB, volumes: [], nics: [] },
		boot: { from: "kernel", kernel: "vmlinuz" },
	});
}

/** A guest that runs on the host and is reported by it. */
export function guestEntry(name: string, host: HostEntry): GuestEntry {
	const spec = guestSpecOf(name);
	return {
		...{ id: spec.id, name, spec, existence: "present", grantedBytes: GiB, createdAt: 0, createdBy: "ann", tags: [] },
		grant: { guestId: spec.id, ownerHostId: host.id, ownerEpoch: 1, highestEpoch: 1, permit: null },
		reports: new Map([
			[
				host.id,
				{
					...{ guestId: spec.id, name, generation: 1, role: "owner", epoch: 1, state: "running", accelerator: "kvm" },
					...{ startedAt: 0, migrationId: null, peerHostId: null, machine: "pc-q35-10.0", remark: null },
				},
			],
		]),
		...{ lastKnown: null, metrics: null, protection: null },
	};
}
