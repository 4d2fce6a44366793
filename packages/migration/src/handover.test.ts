import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Decision, type HandOverEvent, type ProcessState, refuseExecution, transition } from "./handover.ts";
import { OwnershipRecord } from "./ownership-record.ts";

const guestId = newId(GuestId);
const there = newId(HostId);
const moves = [0, 1, 2, 3, 4, 5, 6].map(() => newId(MigrationId));
const move = (epoch: number) => moves[epoch] ?? newId(MigrationId);
const peer = { hostId: there, name: "tern", address: "192.0.2.2", port: 7400 };

const owner = (epoch: number): OwnershipRecord => ({
	role: "owner",
	guestId,
	epoch,
	highestEpoch: epoch,
	outgoing: null,
	arrival: null,
});
const permit = { payload: "cGVybWl0", signature: "c2lnbmVk" };
const begin = (epoch: number): HandOverEvent => ({
	type: "beginMove",
	migrationId: move(epoch),
	epoch,
	target: peer,
	permit,
});
const release = (epoch: number, process: ProcessState = "handedOver", targetLoaded = true): HandOverEvent => ({
	type: "release",
	migrationId: move(epoch),
	process,
	targetLoaded,
});
const prepare = (epoch: number, process: ProcessState = "absent"): HandOverEvent => ({
	type: "prepare",
	guestId,
	migrationId: move(epoch),
	epoch,
	sourceHostId: there,
	process,
});
const run = (epoch: number, process: ProcessState): HandOverEvent => ({
	type: "run",
	migrationId: move(epoch),
	epoch,
	process,
});
const grant = (epoch: number, process: ProcessState = "absent", fillsVolumes = false): HandOverEvent => ({
	type: "grant",
	guestId,
	epoch,
	process,
	fillsVolumes,
	at: 99,
});
const discard = (epoch: number): HandOverEvent => ({ type: "discard", guestId, migrationId: move(epoch), epoch });

/** Applies events in turn, keeping the record when one is refused, as an agent does. */
function play(
	record: OwnershipRecord | null,
	...events: HandOverEvent[]
): { record: OwnershipRecord | null; last: Decision } {
	let last: Decision = { verdict: "keep", effects: [] };
	for (const event of events) {
		last = transition(record, event);
		if (last.verdict === "accept") record = last.record;
	}
	return { record, last };
}

const doings = (decision: Decision) =>
	decision.verdict === "refuse" ? decision.code : decision.effects.map((effect) => effect.do);

describe("the source", () => {
	it("tells the target to run only with the released record", () => {
		const { record, last } = play(owner(1), begin(2), release(2));
		expect(record).toMatchObject({ role: "released", epoch: 2, heard: false });
		expect(doings(last)).toEqual(["sendRun"]);
	});

	it.each([
		["its own process still runs", release(2, "running")],
		["the target has not said that it has all memory", release(2, "handedOver", false)],
		["another move is meant", release(3)],
	])("does not release when %s", (_, event) => {
		const { record, last } = play(owner(1), begin(2), event);
		expect(last.verdict).toBe("refuse");
		expect(record?.role).toBe("owner");
	});

	it("cannot release what it has abandoned, nor abandon what it has released", () => {
		const abandon = { type: "abandon", migrationId: move(2) } as const;
		expect(play(owner(1), begin(2), abandon, release(2)).last).toMatchObject({ verdict: "refuse" });
		expect(play(owner(1), begin(2), release(2), abandon).last).toMatchObject({ verdict: "refuse" });
	});

	it("never runs the guest again under a lower epoch once it is released", () => {
		const { record } = play(owner(1), begin(2), release(2));
		for (const event of [grant(1, "handedOver"), { type: "recover", process: "handedOver" }] as const) {
			const decision = transition(record, event);
			expect(doings(decision)).not.toContain("resumeHere");
			expect(decision.verdict === "accept" ? decision.record.role : "released").toBe("released");
		}
		expect(refuseExecution(record, 1)).not.toBeNull();
		expect(refuseExecution(record, 2)).not.toBeNull();
	});

	it("asks again after every restart until the target answers, then retires", () => {
		const { record } = play(owner(1), begin(2), release(2));
		expect(doings(transition(record, { type: "recover", process: "handedOver" }))).toEqual(["sendRun"]);
		const heard = play(record, { type: "heard", migrationId: move(2) });
		expect(doings(heard.last)).toEqual(["retire"]);
		expect(play(heard.record, { type: "retired", migrationId: move(2) }).record).toMatchObject({
			role: "none",
			highestEpoch: 2,
		});
	});

	it("unwinds after a restart when it has not released", () => {
		const { record } = play(owner(1), begin(2));
		expect(doings(transition(record, { type: "recover", process: "handedOver" }))).toEqual([
			"resumeHere",
			"sendDiscard",
		]);
	});

	it("has burned the epoch of a move that failed", () => {
		const ended = play(
			owner(1),
			begin(2),
			{ type: "abandon", migrationId: move(2) },
			{ type: "moveEnded", migrationId: move(2) },
		);
		expect(ended.record).toEqual({ ...owner(1), highestEpoch: 2 });
		expect(doings(transition(ended.record, begin(2)))).toBe("conflict");
		expect(transition(ended.record, begin(3)).verdict).toBe("accept");
	});

	it("starts nothing by itself while a guest moves away", () => {
		expect(refuseExecution(owner(1), 1)).toBeNull();
		expect(refuseExecution(play(owner(1), begin(2)).record, 1)).toMatchObject({ code: "wrong_state" });
	});
});

describe("the target", () => {
	it("lets the CPUs go only with the owner record, and answers when they run", () => {
		const ran = play(null, prepare(2), run(2, "loaded"));
		expect(ran.record).toMatchObject({ role: "owner", epoch: 2 });
		expect(doings(ran.last)).toEqual(["letGo"]);
		const arrived = play(ran.record, { type: "arrived", migrationId: move(2), resumedAt: 77 });
		expect(doings(arrived.last)).toEqual(["answerRun"]);
	});

	it("answers a repeated run the same way, also when the guest has moved on", () => {
		const arrived = play(null, prepare(2), run(2, "loaded"), { type: "arrived", migrationId: move(2), resumedAt: 77 });
		const again = transition(arrived.record, run(2, "running"));
		expect(again).toMatchObject({
			verdict: "keep",
			effects: [{ do: "answerRun", arrival: { resumedAt: 77, restarted: false } }],
		});
		const gone = play(
			arrived.record,
			begin(3),
			release(3),
			{ type: "heard", migrationId: move(3) },
			{ type: "retired", migrationId: move(3) },
		);
		expect(gone.record?.role).toBe("none");
		expect(transition(gone.record, run(2, "absent"))).toEqual(again);
	});

	it("starts the guest from its disks when the loaded process has died", () => {
		expect(doings(play(null, prepare(2), run(2, "absent")).last)).toEqual(["bootFromDisk"]);
		const lost = play(null, prepare(2), run(2, "loaded"), { type: "recover", process: "absent" });
		expect(lost.record).toMatchObject({ arrival: { restarted: true } });
		expect(doings(lost.last)).toEqual(["bootFromDisk"]);
	});

	it("finishes after a restart what its owner record says", () => {
		expect(doings(play(null, prepare(2), run(2, "loaded"), { type: "recover", process: "loaded" }).last)).toEqual([
			"letGo",
		]);
	});

	it("refuses a run while memory is incomplete", () => {
		expect(doings(play(null, prepare(2), run(2, "loading")).last)).toBe("wrong_state");
	});

	it.each<[string, ProcessState, string]>([
		["discards an incomplete guest when its lease runs out", "loading", "none"],
		["never discards a complete one by itself", "loaded", "incoming"],
		["never discards one whose process is gone by itself, for it may have been complete", "absent", "incoming"],
	])("%s", (_, process, role) => {
		expect(play(null, prepare(2), { type: "leaseExpired", process }).record?.role).toBe(role);
	});

	it("remembers a discard, also one that overtakes its prepare", () => {
		for (const { record } of [play(null, prepare(2), discard(2)), play(null, discard(2))]) {
			expect(record).toMatchObject({ role: "none", highestEpoch: 2 });
			expect(transition(record, prepare(2)).verdict).toBe("refuse");
			expect(transition(record, run(2, "absent")).verdict).toBe("refuse");
		}
	});

	it("clears what is left of an older move before it takes a new one", () => {
		const { record } = play(null, prepare(2));
		const decision = transition(record, prepare(3, "loaded"));
		expect(decision).toEqual({ verdict: "keep", effects: [{ do: "clear" }] });
		expect(play(record, prepare(3, "absent")).record).toMatchObject({ role: "incoming", epoch: 3 });
	});

	it("does not discard a guest that was handed over to it", () => {
		expect(doings(play(null, prepare(2), run(2, "loaded"), discard(2)).last)).toBe("wrong_state");
	});

	it("never takes a guest that it owns itself", () => {
		expect(doings(transition(owner(1), prepare(2, "running")))).toBe("conflict");
	});
});

describe("a grant after the other side was lost", () => {
	const arriving = () => play(null, prepare(2)).record;
	const arrivingHalf = () => play(null, prepare(2), run(2, "loaded")).record;
	const releasedOne = () => play(owner(1), begin(2), release(2)).record;

	it.each<[string, () => OwnershipRecord | null, ProcessState, string[]]>([
		[
			"to a target with all memory ends the held process: its source may have gone on",
			arriving,
			"loaded",
			["endProcess"],
		],
		["to a target with part of the memory ends the held process", arriving, "loading", ["endProcess"]],
		["to a target whose process is gone", arriving, "absent", ["endProcess"]],
		["to an owner that had not let the CPUs go ends the held process", arrivingHalf, "loaded", ["endProcess"]],
		["to an owner that had let them go, and not written so, lets the guest run on", arrivingHalf, "running", []],
		["to an owner whose arriving process is gone", arrivingHalf, "absent", []],
		["to the source that had released the guest ends the old process", releasedOne, "handedOver", ["endProcess"]],
		["to an owner whose guest runs changes the epoch alone", () => owner(1), "running", []],
		["to an owner whose guest is paused leaves it paused", () => owner(1), "paused", []],
		["to a host that has nothing of it", () => null, "absent", []],
	])("%s, and commands are obeyed under the new epoch", (_, before, process, effects) => {
		const granted = play(before(), grant(5, process));
		expect(granted.record).toMatchObject({ role: "owner", epoch: 5, outgoing: null });
		expect(doings(granted.last)).toEqual(effects);
		expect(refuseExecution(granted.record, 5)).toBeNull();
		expect(refuseExecution(granted.record, 2)).not.toBeNull();
	});

	it.each<[string, () => OwnershipRecord | null, ProcessState]>([
		["after a restart of the agent", arriving, "loaded"],
		["after a restart of the agent", arrivingHalf, "loaded"],
		["after a restart of the agent", releasedOne, "handedOver"],
	])("ends the held process %s when it could not before, and when the grant is repeated", (_, before, process) => {
		const { record } = play(before(), grant(5, process));
		expect(doings(transition(record, { type: "recover", process }))).toEqual(["endProcess"]);
		expect(doings(transition(record, grant(5, process)))).toEqual(["endProcess"]);
		expect(doings(transition(record, { type: "recover", process: "running" }))).toEqual([]);
	});

	it.each<ProcessState>(["loading", "absent"])(
		"is refused to a target that may hold half of a copied volume (process %s)",
		(process) => {
			expect(doings(transition(arriving(), grant(5, process, true)))).toBe("wrong_state");
			expect(transition(arriving(), grant(5, "loaded", true)).verdict).toBe("accept");
		},
	);

	it("is refused while the guest moves away, and while what is left of it is being removed", () => {
		expect(doings(transition(play(owner(1), begin(2)).record, grant(5, "running")))).toBe("wrong_state");
		const heard = play(releasedOne(), { type: "heard", migrationId: move(2) }).record;
		expect(doings(transition(heard, grant(5, "handedOver")))).toBe("wrong_state");
	});

	it("clears what is left of a discarded move first", () => {
		const discarded = play(null, prepare(2), discard(2)).record;
		for (const left of [grant(5, "loaded"), grant(5, "absent", true)]) {
			expect(transition(discarded, left)).toEqual({ verdict: "keep", effects: [{ do: "clear" }] });
		}
	});

	it("lets a source that comes back after all retire, and never lets what it sent run", () => {
		for (const before of [arriving(), arrivingHalf()]) {
			const { record } = play(before, grant(5, "loaded"));
			const answer = transition(record, run(2, "loaded"));
			expect(answer).toMatchObject({ verdict: "keep", effects: [{ do: "answerRun", arrival: { restarted: true } }] });
		}
	});
});

describe("any history", () => {
	const epochs = fc.integer({ min: 1, max: 6 });
	const processes = fc.constantFrom<ProcessState>("absent", "running", "paused", "loading", "loaded", "handedOver");
	const events = fc.oneof(
		fc
			.tuple(epochs, processes, fc.boolean())
			.map(([epoch, process, fillsVolumes]) => grant(epoch, process, fillsVolumes)),
		epochs.map((epoch): HandOverEvent => ({ type: "forget", epoch })),
		epochs.map(begin),
		fc.tuple(epochs, processes, fc.boolean()).map(([epoch, process, loaded]) => release(epoch, process, loaded)),
		fc
			.constantFrom("abandon", "moveEnded", "heard", "retired")
			.chain((type) => epochs.map((epoch) => ({ type, migrationId: move(epoch) }) as HandOverEvent)),
		fc.tuple(epochs, processes).map(([epoch, process]) => prepare(epoch, process)),
		fc.tuple(epochs, processes).map(([epoch, process]) => run(epoch, process)),
		epochs.map((epoch): HandOverEvent => ({ type: "arrived", migrationId: move(epoch), resumedAt: epoch })),
		epochs.map(discard),
		processes.map((process): HandOverEvent => ({ type: "leaseExpired", process })),
		processes.map((process): HandOverEvent => ({ type: "recover", process })),
	);
	const start = fc.constantFrom<OwnershipRecord | null>(null, owner(1));

	it("only ever raises the highest epoch, and its records are what the file's schema says", () => {
		fc.assert(
			fc.property(start, fc.array(events, { maxLength: 30 }), (record, history) => {
				for (const event of history) {
					const decision = transition(record, event);
					if (decision.verdict !== "accept") continue;
					expect(decision.record.highestEpoch).toBeGreaterThanOrEqual(record?.highestEpoch ?? 1);
					expect(OwnershipRecord.parse(decision.record)).toEqual(decision.record);
					record = decision.record;
				}
			}),
			{ numRuns: 500 },
		);
	});

	it("lets CPUs go only under an owner record with the highest epoch it has taken", () => {
		fc.assert(
			fc.property(start, fc.array(events, { maxLength: 30 }), (record, history) => {
				let taken = record?.role === "owner" ? record.epoch : 0;
				for (const event of history) {
					const decision = transition(record, event);
					if (decision.verdict === "refuse") continue;
					if (decision.verdict === "accept") record = decision.record;
					if (record?.role === "owner" || record?.role === "released") {
						expect(record.epoch).toBeGreaterThanOrEqual(taken);
						taken = record.epoch;
					}
					const runs = decision.effects.some(
						(e) => e.do === "letGo" || e.do === "bootFromDisk" || e.do === "resumeHere",
					);
					if (runs) expect(record).toMatchObject({ role: "owner", epoch: taken });
				}
			}),
			{ numRuns: 500 },
		);
	});

	it("does the same when a decision is taken again after a crash", () => {
		fc.assert(
			fc.property(start, fc.array(events, { maxLength: 30 }), (record, history) => {
				for (const event of history) {
					const decision = transition(record, event);
					if (decision.verdict !== "accept") continue;
					record = decision.record;
					const again = transition(record, event);
					if (again.verdict === "accept") expect(again.record).toEqual(record);
				}
			}),
			{ numRuns: 500 },
		);
	});
});
