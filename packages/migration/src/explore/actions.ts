/*
 * Everything that can happen in the model of the hand-over. Long because it is one list: whoever asks whether a loss, a
 * repetition or a crash is tried reads it here from top to bottom.
 */
import { grantMove, settle } from "../grants.ts";
import {
	type Decision,
	describe,
	type HandOverEvent,
	type ProcessState,
	refuseExecution,
	transition,
} from "../handover.ts";
import type { OwnershipRecord } from "../ownership-record.ts";
import {
	addressOf,
	epochOf,
	guestId,
	type Host,
	hostIdOf,
	hostNames,
	hostOf,
	type MessageKind,
	messageBit,
	migrationOf,
	type Pending,
	type World,
} from "./world.ts";

/** Mistakes that the search must find, so that it is known to look: see `exploreHandOver`. */
export type Break = "release" | "early-run" | "epoch";

/** One thing that can happen next. `fault` is what nobody wants: such steps are not counted on to get anywhere. */
export interface Action {
	text: string;
	fault: boolean;
	world: World;
}

type Side = 0 | 1;

/** Signatures are not what is explored. */
const permit = { payload: "", signature: "" };

/** Everything that can happen next in this state. What changes nothing is left out by the search. */
export function actions(world: World, broken: Break | null): Action[] {
	const found: Action[] = [];
	const add = (text: string, next: World | null, fault = false) => {
		if (next && next !== world) found.push({ text, world: next, fault });
	};
	consoleActions(world, add);
	for (const side of [0, 1] as const) if (side !== world.lost) agentActions(world, side, broken, add);
	if (world.lossesLeft > 0) for (const side of [0, 1] as const) loss(world, side, add);
	if (world.lost !== null) recoveryActions(world, world.lost === 0 ? 1 : 0, broken, add);
	return found;
}

type Add = (text: string, next: World | null, fault?: boolean) => void;

function consoleActions(world: World, add: Add): void {
	const { grant } = world;
	if (!grant.permit && world.lost === null && grant.highestEpoch <= world.moves) {
		const epoch = grant.highestEpoch + 1;
		const target: Side = hostOf(grant.ownerHostId) === 0 ? 1 : 0;
		const granted = grantMove(grant, { migrationId: migrationOf(epoch), targetHostId: hostIdOf(target), expiresAt: 0 });
		if (granted.verdict === "accept") {
			const targets = [...world.targets];
			targets[epoch] = target;
			add(`console: stores a permit to move to ${hostNames[target]} under epoch ${epoch}`, {
				...world,
				grant: granted.grant,
				targets,
			});
		}
	}
	if (grant.permit)
		add(`console: sends the permit of epoch ${grant.permit.epoch}`, send(world, "start", grant.permit.epoch));
	for (let epoch = 1; epoch <= world.grant.highestEpoch; epoch++) {
		if (has(world, "ownerReport", epoch)) {
			const hostId = hostIdOf(epoch === 1 ? 0 : targetOf(world, epoch));
			const report = { hostId, role: "owner", epoch, migrationId: null, endedMigrationIds: [] } as const;
			const hears = `console: hears that ${hostNames[hostOf(hostId)]} owns the guest under epoch ${epoch}`;
			add(hears, withGrant(world, settle(grant, report, 0)));
			add(`${hears}, after the permit's time`, withGrant(world, settle(grant, report, Number.MAX_SAFE_INTEGER)));
		}
		if (epoch > 1 && has(world, "endedReport", epoch)) {
			const source: Side = targetOf(world, epoch) === 0 ? 1 : 0;
			const report = { hostId: hostIdOf(source), role: "owner", epoch: grant.ownerEpoch, migrationId: null } as const;
			const settled = settle(grant, { ...report, endedMigrationIds: [migrationOf(epoch)] }, 0);
			if (hostOf(grant.ownerHostId) === source) {
				add(`console: hears that the move under epoch ${epoch} has ended`, withGrant(world, settled));
			}
		}
	}
}

/** A server is gone for good; the console knows it for dead. */
function loss(world: World, side: Side, add: Add): void {
	const gone = patchHost(world, side, { process: "absent", heldEpoch: 0, pending: [], step: "idle" });
	add(`${hostNames[side]}: the server is lost for good`, { ...gone, lossesLeft: 0, lost: side }, true);
}

/** The console grants the guest to the server that is left, as often as it takes, and has it started. */
function recoveryActions(world: World, side: Side, broken: Break | null, add: Add): void {
	const { record, process, pending } = world.hosts[side];
	const { grant, recoveryEpoch: epoch } = world;
	const name = hostNames[side];
	if (epoch === 0) {
		const recoveryEpoch = grant.highestEpoch + 1;
		const targets = [...world.targets];
		targets[recoveryEpoch] = side;
		const granted = { ...world, targets, recoveryEpoch, grant: { ...grant, highestEpoch: recoveryEpoch } };
		add(`console: stores a grant of the guest to ${name} under epoch ${recoveryEpoch}`, granted);
		return;
	}
	// The volumes are shared: with copied ones, some grants are rightly refused for ever.
	const event = { type: "grant", guestId, epoch, process, fillsVolumes: false, at: 1 } as const;
	const taken = decide(world, side, event, broken);
	add(`${name}: gets the grant of epoch ${epoch}${outcome(taken)}`, taken.world);
	if (process === "absent" && pending.length === 0 && refuseExecution(record, epoch) === null) {
		add(`${name}: is told to start the guest`, patchHost(world, side, { process: "running" }));
	}
}

function withGrant(world: World, { grant, settled, contradiction }: ReturnType<typeof settle>): World | null {
	if (contradiction) throw new Error(contradiction);
	return settled ? { ...world, grant } : null;
}

function agentActions(world: World, side: Side, broken: Break | null, add: Add): void {
	const host = world.hosts[side];
	const { record, process } = host;
	const name = hostNames[side];
	const apply = (event: HandOverEvent, before: World = world) => decide(before, side, event, broken);
	const step = (patch: Partial<Host>) => patchHost(world, side, patch);

	const [effect] = host.pending;
	if (effect) add(`${name}: ${textOf(effect)}`, carryOut(world, side, effect, broken));

	for (let epoch = 2; epoch <= world.grant.highestEpoch; epoch++) {
		const migrationId = migrationOf(epoch);
		const target = targetOf(world, epoch);
		if (target !== side) {
			const { world: begun, verdict } = has(world, "start", epoch)
				? apply({ type: "beginMove", migrationId, epoch, target: addressOf(target), permit })
				: { world, verdict: "refuse" };
			if (verdict === "accept") {
				const asked = send(patchHost(begun, side, { step: "preparing" }), "prepare", epoch);
				add(`${name}: begins the move under epoch ${epoch} and asks ${hostNames[target]} to prepare`, asked);
			}
			if (has(world, "ran", epoch))
				add(
					`${name}: hears that ${hostNames[target]} runs the guest under epoch ${epoch}`,
					apply({ type: "heard", migrationId }).world,
				);
			if (world.abandoned & (1 << epoch))
				add(`${name}: sends the discard of epoch ${epoch} that it owes`, send(world, "discard", epoch));
			if (
				record?.role === "owner" &&
				record.epoch < epoch &&
				record.highestEpoch >= epoch &&
				record.outgoing?.epoch !== epoch
			) {
				add(`${name}: reports that the move under epoch ${epoch} has ended`, send(world, "endedReport", epoch));
			}
		} else {
			if (has(world, "prepare", epoch)) {
				const source = hostIdOf(side === 0 ? 1 : 0);
				const prepared = apply({ type: "prepare", guestId, migrationId, epoch, sourceHostId: source, process });
				const known = prepared.verdict === "keep" && prepared.effects.length === 0 && process !== "absent";
				add(
					`${name}: gets prepare of epoch ${epoch}${outcome(prepared)}`,
					known ? send(world, "prepared", epoch) : prepared.world,
				);
			}
			if (has(world, "run", epoch)) {
				const ran = apply({ type: "run", migrationId, epoch, process });
				const answers = ran.effects.some((e) => e.do === "answerRun");
				add(`${name}: gets run of epoch ${epoch}${outcome(ran)}`, answers ? send(world, "ran", epoch) : ran.world);
			}
			if (has(world, "discard", epoch)) {
				const discarded = apply({ type: "discard", guestId, migrationId, epoch });
				add(`${name}: gets discard of epoch ${epoch}${outcome(discarded)}`, discarded.world);
			}
		}
	}

	if (record?.role === "owner") {
		const settledHere = !record.outgoing && record.arrival?.resumedAt !== null;
		if (settledHere)
			add(
				`${name}: reports that it owns the guest under epoch ${record.epoch}`,
				send(world, "ownerReport", record.epoch),
			);
		if (record.outgoing && host.step !== "idle") moveActions(world, side, record.outgoing.epoch, broken, add);
	}
	if (record?.role === "incoming") {
		if (process === "loaded") {
			if (broken === "early-run")
				add(`${name}: lets the CPUs go because memory is complete (the mistake)`, step({ process: "running" }));
			add(`${name}: says that memory of epoch ${record.epoch} is complete`, send(world, "loaded", record.epoch));
		}
		if (process === "loading")
			add(
				`${name}: its lease for epoch ${record.epoch} runs out; it discards`,
				apply({ type: "leaseExpired", process }).world,
			);
	}
	if (process === "loading" && world.streamed & (1 << host.heldEpoch)) {
		add(`${name}: the process of epoch ${host.heldEpoch} has all memory, its CPUs held`, step({ process: "loaded" }));
	}
	if (world.deathsLeft > 0 && (process === "loading" || process === "loaded")) {
		const dead = patchHost(world, side, { process: "absent", heldEpoch: 0 });
		add(`${name}: the ${process} process dies`, { ...dead, deathsLeft: world.deathsLeft - 1 }, true);
	}
	if (world.crashesLeft > 0) {
		const crashed = patchHost({ ...world, crashesLeft: world.crashesLeft - 1 }, side, { pending: [], step: "idle" });
		const recovered = decide(crashed, side, { type: "recover", process }, broken);
		const lost =
			host.pending.length > 0 || host.step !== "idle" || recovered.verdict === "accept" || recovered.effects.length > 0;
		if (lost)
			add(
				`${name}: the agent dies and starts again, finding ${describe(record)}, process ${process}`,
				recovered.world,
				true,
			);
	}
}

/** The source's agent in the middle of a move that it has not abandoned. */
function moveActions(world: World, side: Side, epoch: number, broken: Break | null, add: Add): void {
	const { step, process } = world.hosts[side];
	const name = hostNames[side];
	const migrationId = migrationOf(epoch);
	const to = (patch: Partial<Host>) => patchHost(world, side, patch);
	if (step === "preparing" && has(world, "prepared", epoch))
		add(`${name}: hears that epoch ${epoch} is prepared, and copies`, to({ step: "copying" }));
	if (step === "copying" && process === "running") {
		const paused = to({ step: "paused", process: "paused" });
		add(`${name}: pauses the guest; the last bytes are on their way`, {
			...paused,
			streamed: world.streamed | (1 << epoch),
		});
	}
	if (step === "paused" && process === "paused") add(`${name}: everything is sent`, to({ process: "handedOver" }));
	if (step === "paused" && process === "handedOver" && has(world, "loaded", epoch)) {
		add(`${name}: hears that the target has all memory of epoch ${epoch}`, to({ step: "targetLoaded" }));
	}
	if (step === "targetLoaded") {
		const released = decide(world, side, { type: "release", migrationId, process, targetLoaded: true }, broken);
		if (released.verdict === "accept") {
			const next = patchHost(released.world, side, { step: "idle" });
			add(
				broken === "release"
					? `${name}: hands over under epoch ${epoch} without writing it first (the mistake)`
					: `${name}: writes released under epoch ${epoch}`,
				next,
			);
		}
	}
	const abandoned = decide(world, side, { type: "abandon", migrationId }, broken);
	if (abandoned.verdict === "accept") {
		const next = patchHost(abandoned.world, side, { step: "idle" });
		add(`${name}: gives the move under epoch ${epoch} up`, next);
	}
}

interface Decided {
	world: World;
	verdict: Decision["verdict"];
	effects: readonly Pending[];
}

/** The one place where the model changes a record: by the product's own `transition`. */
function decide(world: World, side: Side, event: HandOverEvent, broken: Break | null): Decided {
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
function carryOut(before: World, side: Side, effect: Pending, broken: Break | null): World {
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

function textOf(effect: Pending): string {
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

function outcome({ verdict }: Decided): string {
	return verdict === "accept" ? " and writes it" : "";
}

function same(a: Pending, b: Pending): boolean {
	return a.do === b.do && JSON.stringify(a) === JSON.stringify(b);
}

function patchHost(world: World, side: Side, patch: Partial<Host>): World {
	const [a, b] = world.hosts;
	return { ...world, hosts: side === 0 ? [{ ...a, ...patch }, b] : [a, { ...b, ...patch }] };
}

function has(world: World, kind: MessageKind, epoch: number): boolean {
	return (world.sent & messageBit(kind, epoch)) !== 0;
}

function send(world: World, kind: MessageKind, epoch: number): World {
	const sent = world.sent | messageBit(kind, epoch);
	return sent === world.sent ? world : { ...world, sent };
}

function targetOf(world: World, epoch: number): Side {
	return world.targets[epoch] ?? 0;
}
