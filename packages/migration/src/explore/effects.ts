/*
 * How an agent of the model comes to a decision and carries it out: one record, one list of effects that wait for their
 * turn. A crash between any two of them is one of the actions.
 */
import { type Decision, type HandOverEvent, type ProcessState, transition } from "../handover.ts";
import type { OwnershipRecord } from "../ownership-record.ts";
import { epochOf, type Host, type MessageKind, messageBit, migrationOf, type Pending, type World } from "./world.ts";

/** Mistakes that the search must find, so that it is known to look: see `exploreHandOver`. */
export type Break = "release" | "early-run" | "epoch";

export type Side = 0 | 1;

/** What the product said to an event, and the world after it. */
export interface Decided {
	world: World;
	verdict: Decision["verdict"];
	effects: readonly Pending[];
}

/** The one place where the model changes a record: by the product's own `transition`. */
export function decide(world: World, side: Side, event: HandOverEvent, broken: Break | null): Decided {
	const host = world.hosts[side];
	const seen = broken === "epoch" && "epoch" in event ? forgetful(host.record, event.epoch) : host.record;
	const decision = transition(seen, event);
	if (decision.verdict === "refuse") return { world, verdict: "refuse", effects: [] };
	const { effects } = decision;
	if (decision.verdict === "keep") return { world: queue(world, side, effects), verdict: "keep", effects };
	const { record } = decision;
	if (event.type === "release" && broken === "release") {
		return { world: queue(world, side, [...effects, { do: "storeLate", record }]), verdict: "accept", effects };
	}
	return { world: queue(store(world, side, record), side, effects), verdict: "accept", effects };
}

/** The record of an agent that does not refuse lower epochs: what it has seen is always just below what it is asked. */
function forgetful(record: OwnershipRecord | null, epoch: number): OwnershipRecord | null {
	return record && epoch <= record.highestEpoch && epoch > 1
		? { ...record, highestEpoch: epoch - 1, arrival: null }
		: record;
}

function store(world: World, side: Side, record: OwnershipRecord): World {
	const moved = patchHost(world, side, { record });
	const committed =
		record.role === "owner" || record.role === "released" ? Math.max(world.committed, record.epoch) : world.committed;
	const bit = record.role === "owner" && record.outgoing?.abandoned ? 1 << record.outgoing.epoch : 0;
	return { ...moved, committed, abandoned: world.abandoned | bit };
}

/** The answer to a repeated `run` is a message, sent by the caller; everything else waits for its turn. */
function queue(world: World, side: Side, effects: readonly Pending[]): World {
	const { pending } = world.hosts[side];
	const fresh = effects.filter((effect) => effect.do !== "answerRun" && !pending.some((other) => same(other, effect)));
	return fresh.length > 0 ? patchHost(world, side, { pending: [...pending, ...fresh] }) : world;
}

/** Carries out the first pending effect, which may queue a note to `transition` in front of the others. */
export function carryOut(before: World, side: Side, effect: Pending, broken: Break | null): World {
	const { record, pending, process, heldEpoch } = before.hosts[side];
	const rest = pending.slice(1);
	const world = patchHost(before, side, { pending: rest });
	const becomes = (state: ProcessState, note?: Pending) =>
		patchHost(world, side, { process: state, heldEpoch: 0, pending: note ? [note, ...rest] : rest });
	switch (effect.do) {
		case "startHeld": {
			if (record?.role !== "incoming" || process !== "absent") return world;
			return send(patchHost(world, side, { process: "loading", heldEpoch: record.epoch }), "prepared", record.epoch);
		}
		case "letGo":
		case "bootFromDisk": {
			if (record?.role !== "owner" || record.arrival?.resumedAt !== null) return world;
			const gone = effect.do === "letGo" && process === "absent";
			const stale = process === "loaded" && heldEpoch !== record.epoch;
			if (stale && !broken) throw new Error("memory of another epoch is let go");
			return gone
				? decide(world, side, { type: "recover", process }, broken).world
				: becomes("running", { do: "noteArrived", epoch: record.epoch });
		}
		case "noteArrived": {
			const arrived = decide(
				world,
				side,
				{ type: "arrived", migrationId: migrationOf(effect.epoch), resumedAt: 1 },
				broken,
			);
			return arrived.effects.some((e) => e.do === "answerRun")
				? send(arrived.world, "ran", effect.epoch)
				: arrived.world;
		}
		case "answerRun":
			return world;
		case "resumeHere":
			return becomes(process === "absent" ? "absent" : "running", {
				do: "noteEnded",
				epoch: epochOf(effect.migrationId),
			});
		case "noteEnded":
			return decide(world, side, { type: "moveEnded", migrationId: migrationOf(effect.epoch) }, broken).world;
		case "sendDiscard":
			return send(world, "discard", effect.outgoing.epoch);
		case "sendRun":
			return send(world, "run", effect.epoch);
		case "retire":
			if (record?.role !== "released" || record.migrationId !== effect.migrationId) return world;
			return becomes("absent", { do: "noteRetired", epoch: epochOf(effect.migrationId) });
		case "noteRetired":
			return decide(world, side, { type: "retired", migrationId: migrationOf(effect.epoch) }, broken).world;
		case "clear":
		case "endProcess":
			return becomes("absent");
		case "storeLate":
			return store(world, side, effect.record);
	}
}

/** The effect as a step of a trace. */
export function textOf(effect: Pending): string {
	switch (effect.do) {
		case "startHeld":
			return "starts the process with its CPUs held";
		case "letGo":
			return "lets the CPUs go";
		case "bootFromDisk":
			return "starts the guest from its disks";
		case "answerRun":
			return "answers run";
		case "resumeHere":
			return "cancels the copying; the guest runs here";
		case "sendDiscard":
			return `sends discard of epoch ${effect.outgoing.epoch}`;
		case "sendRun":
			return `sends run of epoch ${effect.epoch}`;
		case "retire":
			return "ends the old process";
		case "clear":
			return "ends what is left of the process";
		case "endProcess":
			return "ends the process whose memory the grant has made void";
		case "noteArrived":
			return `writes that it has arrived under epoch ${effect.epoch}, and answers`;
		case "noteEnded":
			return `writes that the move under epoch ${effect.epoch} has ended`;
		case "noteRetired":
			return `writes that nothing of epoch ${effect.epoch} is left`;
		case "storeLate":
			return "writes released, too late";
	}
}

/** What a trace adds to a step whose event was accepted. */
export function outcome({ verdict }: Decided): string {
	return verdict === "accept" ? " and writes it" : "";
}

function same(a: Pending, b: Pending): boolean {
	return a.do === b.do && JSON.stringify(a) === JSON.stringify(b);
}

/** The world with one host's facts changed. */
export function patchHost(world: World, side: Side, patch: Partial<Host>): World {
	const [a, b] = world.hosts;
	return { ...world, hosts: side === 0 ? [{ ...a, ...patch }, b] : [a, { ...b, ...patch }] };
}

/** Whether this message was ever sent: the network may deliver it at any time from then on. */
export function has(world: World, kind: MessageKind, epoch: number): boolean {
	return (world.sent & messageBit(kind, epoch)) !== 0;
}

/** The world in which this message is under way; the same when it was sent before. */
export function send(world: World, kind: MessageKind, epoch: number): World {
	const sent = world.sent | messageBit(kind, epoch);
	return sent === world.sent ? world : { ...world, sent };
}

/** Where the move under this epoch leads to. */
export function targetOf(world: World, epoch: number): Side {
	return world.targets[epoch] ?? 0;
}
