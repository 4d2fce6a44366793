import { GuestSpec } from "@sterna/shared/guest";
import { HostFacts } from "@sterna/shared/host";
import { GuestId, HostId, newId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { describe, expect, test } from "vitest";
import { type HostEntry, Inventory } from "../inventory/inventory.ts";
import { choosePlacement, nobodyTakes } from "./candidates.ts";

const now = 1_800_000_000_000;
const spec = GuestSpec.parse({
	...{ id: newId(GuestId), name: "web-1", vcpus: 1, memoryBytes: GiB, boot: { from: "kernel", kernel: "vmlinuz" } },
	...{ volumes: [], nics: [] },
});

function hostOf(name: string, patch: Partial<HostEntry> = {}): HostEntry {
	const id = newId(HostId);
	const facts = HostFacts.parse({
		...{ hostId: id, name, agentVersion: "0.1.0", bootId: "b", peerAddress: "192.0.2.1", peerPort: 7400 },
		...{ operatingSystem: "Debian 13", kernel: "6.12", cpuModel: "cpu", cpuThreads: 8, memoryBytes: 16 * GiB },
		...{ qemuVersion: "10.0.2", machineTypes: [], probe: { accelerator: "kvm", reason: "" }, pools: [], networks: [] },
		...{ images: [{ name: "vmlinuz", sizeBytes: 1, sha256: "a".repeat(64) }], repositoryFolders: [], simulated: false },
	});
	return {
		...{ id, name, facts, mode: "normal", revokedAt: null, quarantinedBecause: null, joinedAt: 0 },
		...{ certificateExpiresAt: null, metrics: null, findings: [], connected: true, silentSince: null },
		...{ lastHeardAt: now, lastReport: { run: "r", id: 1 } },
		...patch,
	};
}

function choose(...hosts: HostEntry[]) {
	const inventory = new Inventory();
	for (const host of hosts) inventory.hosts.set(host.id, host);
	return choosePlacement(inventory, { spec, exclude: new Set(hosts.slice(0, 1).map(({ id }) => id)) }, now);
}

describe("a guest that no host can take", () => {
	test("is told every host with its reason, also of an agent that has just ended and one that was never heard", () => {
		const { hostIds, candidates } = choose(
			hostOf("auk"),
			hostOf("gull", { connected: false, silentSince: now - 7_000 }),
			hostOf("skua", { mode: "maintenance" }),
			hostOf("tern", { facts: null, connected: false, lastReport: null }),
			hostOf("gone", { revokedAt: 1 }),
		);
		expect(hostIds).toEqual([]);
		expect(nobodyTakes("web-1", candidates, "wait")).toMatchObject({
			code: "host_offline",
			message:
				"no host can take web-1: gull: its agent has not been heard for 7.0 s; skua: in maintenance; tern: its agent was never heard",
			cure: "wait",
		});
	});

	test("is told that there is no other host", () => {
		const { candidates } = choose(hostOf("auk"));
		expect(nobodyTakes("web-1", candidates, "wait").message).toBe("no host can take web-1: there is no other host");
	});

	test("is told some of very many hosts, and how many more there are", () => {
		const many = Array.from({ length: 100 }, (_, n) => hostOf(`host-${n}`, { mode: "maintenance" }));
		const { message } = nobodyTakes("web-1", choose(hostOf("auk"), ...many).candidates, "wait");
		expect(message).toMatch(/; and 80 more$/);
	});
});
