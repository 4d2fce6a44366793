import { describe, expect, test } from "vitest";
import { type HostEntry, Inventory } from "../inventory/inventory.ts";
import { guestSpecOf, hostEntry } from "../testing/inventory-facts.ts";
import { choosePlacement, nobodyTakes } from "./candidates.ts";

const now = 1_800_000_000_000;
const spec = guestSpecOf("web-1");

function choose(...hosts: HostEntry[]) {
	const inventory = new Inventory();
	for (const host of hosts) inventory.hosts.set(host.id, host);
	return choosePlacement(inventory, { spec, exclude: new Set(hosts.slice(0, 1).map(({ id }) => id)) }, now);
}

describe("a guest that no host can take", () => {
	test("is told every host with its reason, also of an agent that has just ended and one that was never heard", () => {
		const { hostIds, candidates } = choose(
			hostEntry("auk"),
			hostEntry("gull", { connected: false, silentSince: now - 7_000 }),
			hostEntry("skua", { mode: "maintenance" }),
			hostEntry("tern", { facts: null, connected: false, lastReport: null }),
			hostEntry("gone", { revokedAt: 1 }),
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
		const { candidates } = choose(hostEntry("auk"));
		expect(nobodyTakes("web-1", candidates, "wait").message).toBe("no host can take web-1: there is no other host");
	});

	test("is told some of very many hosts, and how many more there are", () => {
		const many = Array.from({ length: 100 }, (_, n) => hostEntry(`host-${n}`, { mode: "maintenance" }));
		const { message } = nobodyTakes("web-1", choose(hostEntry("auk"), ...many).candidates, "wait");
		expect(message).toMatch(/; and 80 more$/);
	});
});
