import type { RecoveryPoint } from "@sterna/shared/backup";
import { GuestId, HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { GiB, MiB } from "@sterna/shared/units";
import { beforeEach, describe, expect, test } from "vitest";
import { type GuestEntry, Inventory } from "../inventory/inventory.ts";
import type { PointEntry } from "./catalogue.ts";
import type { RepositoryEntry } from "./repositories.ts";
import { type PlanFacts, planDrill, planRestore } from "./restore-plan.ts";

const now = 1_800_000_000_000;
const [hostId, otherHostId, guestId, volumeId, poolId] = [
	newId(HostId),
	newId(HostId),
	newId(GuestId),
	newId(VolumeId),
	newId(HostId),
];
const spec = {
	...{ id: guestId, name: "web-1", vcpus: 1, memoryBytes: GiB, boot: { from: "disk" as const } },
	volumes: [{ id: volumeId, pool: "local", sizeBytes: 64 * MiB }],
	nics: [{ mac: "52:54:00:00:00:01", network: "lan" }],
};
let facts: PlanFacts;
let guest: GuestEntry;

beforeEach(() => {
	const inventory = new Inventory();
	for (const [id, name] of [
		[hostId, "rack1-01"],
		[otherHostId, "rack1-02"],
	] as const)
		inventory.hosts.set(id, hostOf(id, name));
	guest = {
		...{
			id: guestId,
			name: spec.name,
			spec,
			existence: "present",
			grantedBytes: GiB,
			createdAt: 0,
			createdBy: "ann",
			tags: [],
		},
		grant: { guestId, ownerHostId: hostId, ownerEpoch: 3, highestEpoch: 3, permit: null },
		...{ reports: new Map(), lastKnown: null, metrics: null, protection: null },
	};
	inventory.guests.set(guestId, guest);
	setState("stopped");
	facts = { inventory, point: pointOf(), repository: {} as RepositoryEntry, obstacle: () => null, now };
});

function setState(state: "running" | "stopped") {
	guest.reports.set(hostId, {
		...{ guestId, name: spec.name, generation: 1, role: "owner", epoch: 3, state, accelerator: null, startedAt: null },
		...{ migrationId: null, peerHostId: null, machine: null, remark: null },
	});
}

function hostOf(id: HostId, name: string) {
	const pool = { name: "local", poolId, kind: "local" as const, capacityBytes: 100 * GiB, freeBytes: 90 * GiB };
	return {
		...{
			id,
			name,
			mode: "normal" as const,
			revokedAt: null,
			quarantinedBecause: null,
			joinedAt: 0,
			certificateExpiresAt: null,
		},
		...{
			metrics: null,
			findings: [],
			connected: true,
			silentSince: null,
			lastHeardAt: now,
			lastReport: { run: "r", id: 1 },
		},
		facts: {
			...{
				hostId: id,
				name,
				agentVersion: "0.1.0",
				bootId: "b",
				peerAddress: "127.0.0.1",
				peerPort: 1,
				operatingSystem: "Debian",
			},
			...{ kernel: "6", cpuModel: "c", cpuThreads: 8, memoryBytes: 64 * GiB, qemuVersion: "10.0.2", machineTypes: [] },
			...{
				probe: { accelerator: "kvm" as const, reason: "" },
				pools: [pool],
				networks: [{ name: "lan", kind: "bridge" as const }],
			},
			...{ images: [], repositoryFolders: [], simulated: false },
		},
	};
}

function pointOf(): PointEntry {
	const id = newId(PointId);
	const repositoryId = newId(RepositoryId);
	const volume = { volumeId, sizeBytes: 64 * MiB, readBytes: 0, storedBytes: 0, changedBytes: 0 };
	const manifest: RecoveryPoint = {
		...{
			pointId: id,
			repositoryId,
			guestId,
			guestName: "web-1",
			hostId,
			takenAt: now,
			finishedAt: now,
			parentPointId: null,
		},
		...{
			consistency: "crash",
			consistencyRemark: null,
			spec,
			volumes: [{ ...volume, read: "whole", reason: "firstBackup" }],
		},
	};
	const sizes = { sizeBytes: 64 * MiB, storedBytes: 0 };
	return {
		...{ id, repositoryId, guestId, guestName: "web-1", jobId: null, takenAt: now, manifest, ...sizes },
		protectedBy: null,
		damage: null,
		prunedAt: null,
	};
}

const kept = { id: newId(VolumeId), pool: "local", sizeBytes: 32 * MiB };
const over = { mode: "copy", start: true, target: { kind: "over" } } as const;
const anew = (connectNetworks: boolean) =>
	({ mode: "copy", start: true, target: { kind: "new", name: "web-2", connectNetworks } }) as const;
const codes = (planned: { refusals: { code: string }[] }) => planned.refusals.map(({ code }) => code);

describe("a restore to a new guest", () => {
	test("gives it ids of its own, and no networks unless they are asked for", () => {
		const planned = planRestore(anew(false), facts);
		expect(planned.refusals).toEqual([]);
		expect(planned.spec).toMatchObject({ name: "web-2", nics: [] });
		expect(planned.spec.id).not.toBe(guestId);
		expect(planned.volumes).toEqual([{ from: volumeId, to: planned.spec.volumes[0]?.id }]);
		expect(planned.volumes[0]?.to).not.toBe(volumeId);
	});

	test("gives networks that are asked for another address", () => {
		const [nic] = planRestore(anew(true), facts).spec.nics;
		expect(nic?.network).toBe("lan");
		expect(nic?.mac).not.toBe("52:54:00:00:00:01");
	});

	test("goes only to hosts that reach the repository, and says of the others why not", () => {
		facts.obstacle = (id) => (id === hostId ? "rack1-01 does not reach it" : null);
		const planned = planRestore(anew(false), facts);
		expect(planned.hostId).toBe(otherHostId);
		expect(planned.hosts.find(({ host }) => host.id === hostId)?.refusals[0]?.message).toBe(
			"rack1-01 does not reach it",
		);
		facts.obstacle = () => "out of reach";
		expect(planRestore(anew(false), facts)).toMatchObject({ hostId: null, refusals: [{ code: "no_capacity" }] });
	});

	test("is refused under a name that is taken, or on a host that there is not", () => {
		expect(
			codes(planRestore({ ...anew(false), target: { kind: "new", name: "web-1", connectNetworks: false } }, facts)),
		).toEqual(["conflict"]);
		const target = { kind: "new", name: "web-2", connectNetworks: false, hostId: newId(HostId) } as const;
		expect(() => planRestore({ ...anew(false), target }, facts)).toThrow(/there is no host/);
	});
});

describe("a restore over an existing guest", () => {
	test("keeps its identity, its networks and the disks that the point does not have", () => {
		const later = { id: newId(VolumeId), pool: "local", sizeBytes: 32 * MiB };
		guest.spec = { ...spec, volumes: [...spec.volumes, later] };
		const planned = planRestore(over, facts);
		expect(planned.refusals).toEqual([]);
		expect(planned.spec).toEqual(guest.spec);
		expect(planned.volumes).toEqual([{ from: volumeId, to: volumeId }]);
	});

	test("finds the disk where it was moved to since", () => {
		guest.spec = { ...spec, volumes: [{ id: volumeId, pool: "fast", sizeBytes: 64 * MiB }] };
		expect(planRestore(over, facts).spec.volumes[0]?.pool).toBe("fast");
	});

	test("is refused while it runs, moves, is restored, or its host is out of reach of it or of the repository", () => {
		setState("running");
		expect(codes(planRestore(over, facts))).toEqual(["wrong_state"]);
		setState("stopped");
		guest.existence = "restoring";
		expect(codes(planRestore(over, facts))).toEqual(["wrong_state"]);
		guest.existence = "present";
		facts.obstacle = () => "no folder";
		expect(codes(planRestore(over, facts))).toEqual(["unavailable"]);
		facts.obstacle = () => null;
		Object.assign(facts.inventory.host(hostId), { connected: false });
		expect(codes(planRestore(over, facts))).toEqual(["host_offline"]);
	});

	test.each([
		["over it", over],
		["of one disk into it", { ...over, target: { kind: "disk", volumeId, intoGuestId: guestId } } as const],
	])("is refused %s while its host tells of other disks than are listed", (_, request) => {
		const report = guest.reports.get(hostId);
		if (!report) throw new Error("the guest is not reported");
		const listed = guest.spec.volumes;
		guest.reports.set(hostId, { ...report, volumes: [...listed, kept] });
		expect(planRestore(request, facts)).toMatchObject({
			hostId: null,
			refusals: [{ code: "wrong_state", cure: expect.stringMatching(/until they are listed anew/) }],
		});
		guest.reports.set(hostId, { ...report, volumes: listed });
		expect(planRestore(request, facts).refusals).toEqual([]);
	});

	test("is refused for a guest that is not there any more", () => {
		facts.inventory.guests.delete(guestId);
		expect(() => planRestore(over, facts)).toThrow(/there is no guest/);
	});
});

test("a drill has no networks and a name that says what it is", () => {
	const planned = planDrill(facts);
	expect(planned).toMatchObject({ kind: "drill", spec: { nics: [], name: `drill-${facts.point.id.slice(0, 8)}` } });
});
