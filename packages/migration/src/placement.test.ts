import { guestOverheadBytes, hostReserveBytes } from "@sterna/shared/guest";
import { GiB } from "@sterna/shared/units";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PlacementHost, type PlacementRequest, place } from "./placement.ts";
import { guestSpec, hostFacts, hostIdFor, placementHost } from "./testing/facts.ts";

const request = (patch: Partial<PlacementRequest> = {}): PlacementRequest => ({
	spec: guestSpec(1),
	exclude: new Set(),
	running: null,
	seed: 1,
	...patch,
});

describe("placement", () => {
	it("chooses the host that is left emptier", () => {
		const full = placementHost(1, { committedMemoryBytes: 10 * GiB, committedVcpus: 8, cpuUsed: 0.7 });
		expect(place(request(), [full, placementHost(2)]).candidates[0]?.hostId).toBe(hostIdFor(2));
	});

	it("prefers a healthy host over one that is watched", () => {
		const watched = placementHost(1, { health: "watch" });
		const busier = placementHost(2, { committedMemoryBytes: 4 * GiB });
		expect(place(request(), [watched, busier]).candidates[0]?.hostId).toBe(hostIdFor(2));
	});

	it.each<[string, Partial<PlacementHost>, RegExp]>([
		["out of reach", { online: false }, /out of reach/],
		["in maintenance", { mode: "maintenance" }, /in maintenance/],
		["being emptied", { mode: "evacuating" }, /being evacuated/],
		["failing", { health: "failing" }, /health is failing/],
		["full", { committedMemoryBytes: 13 * GiB }, /1\.0 GiB of memory left, 2\.2 GiB are needed/],
		["crowded", { committedVcpus: 31 }, /31 vCPUs on 8 threads/],
		["without the network", { facts: hostFacts(1, { networks: [] }) }, /no network lan/],
		["without the pool", { facts: hostFacts(1, { pools: [] }) }, /no storage pool local/],
		["without the image", { facts: hostFacts(1, { images: [] }) }, /no image vmlinuz/],
	])("names why a host is not considered: %s", (_, patch, reason) => {
		const { candidates, refused } = place(request(), [placementHost(1, patch)]);
		expect(candidates).toEqual([]);
		expect(refused).toEqual([{ hostId: hostIdFor(1), name: "host1", reason: expect.stringMatching(reason) }]);
	});

	it("asks of a running guest's target its accelerator and machine type", () => {
		const running = { machine: "pc-q35-10.0", accelerator: "tcg", qemuVersion: "10.0.2" };
		expect(place(request({ running }), [placementHost(1)]).refused[0]?.reason).toBe("runs guests on kvm, not tcg");
	});

	it("spreads equal requests over equal hosts, and decides the same for the same seed", () => {
		const hosts = [1, 2, 3, 4].map((n) => placementHost(n));
		const first = (seed: number) => place(request({ seed }), hosts).candidates[0]?.hostId;
		expect(new Set([...Array(40).keys()].map(first)).size).toBe(4);
		expect(first(7)).toBe(first(7));
	});

	it("never exceeds a host's memory, and tells of every host exactly once", () => {
		const hosts = fc.array(fc.record({ committed: fc.integer({ min: 0, max: 20 }), online: fc.boolean() }), {
			maxLength: 6,
		});
		fc.assert(
			fc.property(hosts, fc.integer({ min: 1, max: 16 }), fc.nat(), (shapes, gib, seed) => {
				const spec = guestSpec(1, { memoryBytes: gib * GiB });
				const fleet = shapes.map(({ committed, online }, n) =>
					placementHost(n + 1, { committedMemoryBytes: committed * GiB, online }),
				);
				const { candidates, refused } = place(request({ spec, seed }), fleet);
				expect(candidates.length + refused.length).toBe(fleet.length);
				for (const { hostId } of candidates) {
					const host = fleet.find((h) => h.facts.hostId === hostId);
					const used = (host?.committedMemoryBytes ?? 0) + spec.memoryBytes + guestOverheadBytes(spec.memoryBytes);
					expect(used).toBeLessThanOrEqual(16 * GiB - hostReserveBytes(16 * GiB));
					expect(host?.online).toBe(true);
				}
			}),
		);
	});
});
