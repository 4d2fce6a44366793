import { GiB } from "@sterna/shared/units";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	beginEvacuation,
	type EvacuatingGuest,
	type Evacuation,
	type EvacuationView,
	recordOutcome,
	stepEvacuation,
} from "./evacuation.ts";
import type { PlacementHost } from "./placement.ts";
import { guestIdFor, guestSpec, hostIdFor, placementHost } from "./testing/facts.ts";

const guest = (n: number, gib = 2, patch: Partial<EvacuatingGuest> = {}): EvacuatingGuest => ({
	spec: guestSpec(n, { memoryBytes: gib * GiB, volumes: [] }),
	state: "running",
	running: { machine: "pc-q35-10.0", accelerator: "kvm", qemuVersion: "10.0.2" },
	diskBytes: 0,
	dirtyBytesPerSecond: 0,
	weight: 1,
	leaving: false,
	...patch,
});

const source = placementHost(1, { mode: "evacuating" });
const view = (
	guests: EvacuatingGuest[],
	hosts: PlacementHost[],
	patch: Partial<EvacuationView> = {},
): EvacuationView => ({
	guests,
	hosts: [source, ...hosts],
	outgoingMoves: 0,
	incomingMoves: new Map(),
	...patch,
});
const fresh = () => beginEvacuation({ hostId: hostIdFor(1), hostName: "host1" }, 1);
const row = (evacuation: Evacuation, n: number) => evacuation.rows.find((r) => r.guestId === guestIdFor(n));

describe("an evacuation", () => {
	it("lets small and important guests leave first, two at a time", () => {
		const guests = [guest(1, 8), guest(2, 1), guest(3, 4, { weight: 10 })];
		const { start } = stepEvacuation(fresh(), view(guests, [placementHost(2), placementHost(3)]));
		expect(start.map((move) => move.guestId)).toEqual([guestIdFor(3), guestIdFor(2)]);
	});

	it("counts moves that others have under way", () => {
		const busy = view([guest(1)], [placementHost(2)], { outgoingMoves: 2 });
		expect(stepEvacuation(fresh(), busy).start).toEqual([]);
		const full = view([guest(1)], [placementHost(2)], { incomingMoves: new Map([[hostIdFor(2), 2]]) });
		const step = stepEvacuation(fresh(), full);
		expect(step.start).toEqual([]);
		expect(row(step.evacuation, 1)?.state).toBe("pending");
	});

	it("names the guest that fits nowhere, why on every host, and a cure; and goes on with the others", () => {
		const { evacuation, start } = stepEvacuation(fresh(), view([guest(1, 15), guest(2, 1)], [placementHost(2)]));
		expect(row(evacuation, 1)).toMatchObject({
			state: "blocked",
			reason: expect.stringContaining("host2: has 13 GiB of memory left"),
			cure: expect.any(String),
		});
		expect(start.map((move) => move.guestId)).toEqual([guestIdFor(2)]);
	});

	it("waits for a guest that a person moves away already, and takes it along when that move fails", () => {
		const hosts = [placementHost(2)];
		const waiting = stepEvacuation(fresh(), view([guest(1, 2, { leaving: true })], hosts));
		expect(waiting).toMatchObject({ start: [], finished: false });
		expect(stepEvacuation(waiting.evacuation, view([guest(1)], hosts)).start).toHaveLength(1);
		expect(stepEvacuation(waiting.evacuation, view([], hosts))).toMatchObject({ finished: true, empty: true });
	});

	it("is not over while a guest is still on its way to the host, and takes it along when it arrives", () => {
		const arriving = view([], [placementHost(2)], { incomingMoves: new Map([[hostIdFor(1), 1]]) });
		const before = stepEvacuation(fresh(), arriving);
		expect(before).toMatchObject({ finished: false, empty: false });
		expect(stepEvacuation(before.evacuation, view([guest(1)], [placementHost(2)])).start).toHaveLength(1);
	});

	it("does not ask to shut down a guest of which nothing is known", () => {
		const { evacuation } = stepEvacuation(fresh(), view([guest(1, 2, { state: "unknown" })], [placementHost(2)]));
		expect(row(evacuation, 1)).toMatchObject({ state: "blocked", cure: "wait until the host's agent is heard" });
	});

	it("takes a blocked guest up again when room appears", () => {
		const { evacuation } = stepEvacuation(fresh(), view([guest(1)], []));
		expect(row(evacuation, 1)).toMatchObject({ state: "blocked", reason: "there is no other host" });
		expect(stepEvacuation(evacuation, view([guest(1)], [placementHost(2)])).start).toHaveLength(1);
	});

	it("tries another host after a failure, and gives up after three", () => {
		const hosts = [placementHost(2), placementHost(3)];
		let evacuation = fresh();
		const targets = [];
		for (let attempt = 0; attempt < 3; attempt++) {
			const step = stepEvacuation(evacuation, view([guest(1)], hosts));
			targets.push(step.start[0]?.targetHostId);
			evacuation = recordOutcome(step.evacuation, guestIdFor(1), {
				moved: false,
				reason: "the link is cut",
				cure: null,
			});
		}
		expect(targets[0]).not.toBe(targets[1]);
		const last = stepEvacuation(evacuation, view([guest(1)], hosts));
		expect(row(last.evacuation, 1)).toMatchObject({ state: "failed", reason: "the link is cut", attempts: 3 });
		expect(last).toMatchObject({ finished: true, empty: false, start: [] });
	});

	it("leaves stopped guests on their disks and says so", () => {
		const step = stepEvacuation(fresh(), view([guest(1, 2, { state: "stopped" })], [placementHost(2)]));
		expect(row(step.evacuation, 1)).toMatchObject({ state: "skipped", reason: "it is stopped and stays on its disks" });
		expect(step).toMatchObject({ finished: true, empty: true });
	});

	it("does not move a paused guest, and says what to do about it", () => {
		const step = stepEvacuation(fresh(), view([guest(1, 2, { state: "paused" })], [placementHost(2)]));
		expect(row(step.evacuation, 1)).toMatchObject({ state: "blocked", cure: "resume it, or shut it down" });
		expect(step).toMatchObject({ finished: true, empty: false });
	});

	it("empties any fleet with room, never more than two at a time out or in, never two guests into the same memory", () => {
		const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 });
		fc.assert(
			fc.property(sizes, fc.nat(), fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (gibs, seed, luck) => {
				let here = gibs.map((gib, i) => guest(i + 1, gib));
				const committed = new Map([2, 3, 4].map((n) => [hostIdFor(n), 0]));
				let evacuation: Evacuation = { ...fresh(), seed };
				const moving: { guestId: string; targetHostId: string }[] = [];
				let failures = 0;
				for (let turn = 0; turn < 200; turn++) {
					const hosts = [2, 3, 4].map((n) =>
						placementHost(n, { committedMemoryBytes: committed.get(hostIdFor(n)) ?? 0 }),
					);
					const incoming = new Map(
						hosts.map((h) => [h.facts.hostId, moving.filter((m) => m.targetHostId === h.facts.hostId).length]),
					);
					const step = stepEvacuation(
						evacuation,
						view(here, hosts, { outgoingMoves: moving.length, incomingMoves: incoming }),
					);
					evacuation = step.evacuation;
					for (const move of step.start) {
						moving.push(move);
						const bytes = here.find((g) => g.spec.id === move.guestId)?.spec.memoryBytes ?? 0;
						committed.set(move.targetHostId, (committed.get(move.targetHostId) ?? 0) + bytes + 0.3 * GiB);
					}
					expect(moving.length).toBeLessThanOrEqual(2);
					for (const used of committed.values()) expect(used).toBeLessThanOrEqual(14 * GiB);
					if (step.finished) break;
					const done = evacuation.rows.find((r) => r.state === "moving");
					if (!done) continue;
					moving.splice(
						moving.findIndex((m) => m.guestId === done.guestId),
						1,
					);
					if (luck[turn] === false && failures++ < 2) {
						const bytes = here.find((g) => g.spec.id === done.guestId)?.spec.memoryBytes ?? 0;
						if (done.targetHostId)
							committed.set(done.targetHostId, (committed.get(done.targetHostId) ?? 0) - bytes - 0.3 * GiB);
						evacuation = recordOutcome(evacuation, done.guestId, { moved: false, reason: "cut", cure: null });
					} else {
						here = here.filter((g) => g.spec.id !== done.guestId);
						evacuation = recordOutcome(evacuation, done.guestId, { moved: true });
					}
				}
				expect(evacuation.rows.map((r) => r.state)).toEqual(gibs.map(() => "moved"));
			}),
			{ numRuns: 60 },
		);
	});
});
