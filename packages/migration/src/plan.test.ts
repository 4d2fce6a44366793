import { MigrationPlan } from "@sterna/shared/migration";
import { GiB } from "@sterna/shared/units";
import { describe, expect, it } from "vitest";
import { checkIncoming, checkStanding, isOlder, type PlanRequest, planMigration, type TargetState } from "./plan.ts";
import { guestIdFor, guestSpec, hostFacts, hostIdFor, incomingGuest, poolIdFor } from "./testing/facts.ts";

const target = (patch: Parameters<typeof hostFacts>[1] = {}, rest: Partial<TargetState> = {}): TargetState => ({
	facts: hostFacts(2, patch),
	committedMemoryBytes: 0,
	arrivingMemoryBytes: 0,
	guests: [],
	...rest,
});

const request = (patch: Partial<PlanRequest> = {}): PlanRequest => ({
	guest: incomingGuest(1),
	guestState: "running",
	dirtyBytesPerSecond: 0,
	source: hostFacts(1),
	target: { hostId: hostIdFor(2), name: "host2", reachable: true, state: hostFacts(2), refusals: [] },
	...patch,
});

describe("a target that is asked to take a guest", () => {
	it("welcomes one that fits", () => {
		expect(checkIncoming(incomingGuest(1), target())).toEqual([]);
	});

	it.each<[string, TargetState, string, RegExp]>([
		["an older QEMU", target({ qemuVersion: "9.2.0" }), "incompatible", /QEMU 9\.2\.0 on host2 is older than 10\.0\.2/],
		["no such machine type", target({ machineTypes: ["pc-q35-9.2"] }), "incompatible", /no machine type pc-q35-10\.0/],
		[
			"software emulation only",
			target({ probe: { accelerator: "tcg", reason: "no /dev/kvm" } }),
			"incompatible",
			/runs on kvm, host2 has tcg \(no \/dev\/kvm\)/,
		],
		["simulated guests", target({ simulated: true }), "incompatible", /runs simulated guests; guest1 is real/],
		["no such network", target({ networks: [] }), "not_found", /no network lan/],
		["no such pool", target({ pools: [] }), "not_found", /no storage pool local/],
		["no such image", target({ images: [] }), "not_found", /no image vmlinuz/],
		[
			"another image of that name",
			target({ images: [{ name: "vmlinuz", sizeBytes: 1, sha256: "b".repeat(64) }] }),
			"incompatible",
			/image vmlinuz on host2 has another content/,
		],
		[
			"too little memory",
			target({}, { committedMemoryBytes: 12 * GiB }),
			"no_capacity",
			/needs 2\.2 GiB of memory, host2 has 2\.0 GiB left/,
		],
		[
			"too little memory only until what a failed move left is removed",
			target({}, { committedMemoryBytes: 12 * GiB, arrivingMemoryBytes: 2 * GiB }),
			"no_capacity",
			/host2 has 2\.0 GiB left; 2\.0 GiB are held for guests on their way there/,
		],
		[
			"too little disk",
			target({
				pools: [{ name: "local", poolId: poolIdFor(2), kind: "local", capacityBytes: 100 * GiB, freeBytes: 12 * GiB }],
			}),
			"no_capacity",
			/brings 3\.0 GiB of disk, pool local on host2 has 2\.0 GiB left/,
		],
		["too few threads", target({ cpuThreads: 1 }), "no_capacity", /2 vCPUs, host2 has 1 threads/],
		[
			"another guest of that name",
			target({}, { guests: [{ guestId: guestIdFor(9), name: "guest1" }] }),
			"conflict",
			/another guest named guest1/,
		],
	])("refuses with a cure when it has %s", (_, state, code, message) => {
		const refusals = checkIncoming(incomingGuest(1), state);
		expect(refusals).toHaveLength(1);
		expect(refusals[0]).toMatchObject({ code, message: expect.stringMatching(message) });
		expect(refusals[0]?.cure).toBeTruthy();
	});

	it("needs no room for volumes that both hosts share", () => {
		const shared = {
			name: "local",
			poolId: poolIdFor(1),
			kind: "shared" as const,
			capacityBytes: 100 * GiB,
			freeBytes: 0,
		};
		expect(checkIncoming(incomingGuest(1), target({ pools: [shared] }))).toEqual([]);
	});

	it("refuses guests without KVM on a QEMU whose migration corrupts them", () => {
		const old = {
			qemuVersion: "8.2.2",
			machineTypes: ["pc-q35-8.2"],
			probe: { accelerator: "tcg" as const, reason: "no KVM" },
		};
		const guest = incomingGuest(1, { accelerator: "tcg", qemuVersion: "8.2.2", machine: "pc-q35-8.2" });
		expect(checkIncoming(guest, target(old)).map((refusal) => refusal.message)).toEqual([
			expect.stringContaining("corrupts memory"),
		]);
		const plan = planMigration(request({ guest }));
		expect(plan.refusals.map((refusal) => refusal.code)).toEqual(["incompatible"]);
	});
});

describe("a plan", () => {
	it("says what will happen, how long it takes, and how to undo it", () => {
		const plan = planMigration(request());
		expect(MigrationPlan.parse(plan)).toEqual(plan);
		expect(plan).toMatchObject({ refusals: [], diskBytes: 3 * GiB, memoryBytes: 2 * GiB });
		expect(plan.predictedDurationMs).toBeGreaterThan((5 * GiB) / 110_000);
		expect(plan.steps).toHaveLength(5);
	});

	it("copies no disk between hosts that share it", () => {
		const state = hostFacts(2, { pools: hostFacts(1).pools });
		const plan = planMigration(
			request({ target: { hostId: hostIdFor(2), name: "host2", reachable: true, state, refusals: [] } }),
		);
		expect(plan.diskBytes).toBe(0);
	});

	it.each<[string, Partial<PlanRequest>, string]>([
		[
			"to where the guest is",
			{ target: { hostId: hostIdFor(1), name: "host1", reachable: true, state: hostFacts(1), refusals: [] } },
			"conflict",
		],
		["of a guest that does not run", { guestState: "stopped" }, "wrong_state"],
		[
			"to a host out of reach",
			{ target: { hostId: hostIdFor(2), name: "host2", reachable: false, reason: "no answer within 5 s" } },
			"host_offline",
		],
	])("refuses a move %s", (_, patch, code) => {
		const { refusals } = planMigration(request(patch));
		expect(refusals).toEqual([expect.objectContaining({ code, cure: expect.any(String) })]);
	});

	it("predicts no pause for a guest that writes as fast as the link copies", () => {
		expect(planMigration(request({ dirtyBytesPerSecond: 200_000_000 })).predictedDowntimeMs).toBeNull();
	});

	it.each([
		[{ online: false, mode: "normal", health: "healthy" } as const, "host_offline"],
		[{ online: true, mode: "maintenance", health: "healthy" } as const, "wrong_state"],
		[{ online: true, mode: "normal", health: "degraded" } as const, "wrong_state"],
	])("is refused by a target's standing: %o", (standing, code) => {
		expect(checkStanding("host2", standing)).toEqual([expect.objectContaining({ code, cure: expect.any(String) })]);
	});
});

it.each([
	["9.2.0", "10.0.0", true],
	["10.0.2", "10.0.2", false],
	["10.0.10", "10.0.9", false],
])("version %s is older than %s: %s", (a, b, older) => expect(isOlder(a, b)).toBe(older));

it("takes a guest that comes back although its name is known here", () => {
	const state = target({}, { guests: [{ guestId: guestSpec(1).id, name: "guest1" }] });
	expect(checkIncoming(incomingGuest(1), state)).toEqual([]);
});
