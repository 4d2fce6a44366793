/*
 * Everything that can happen in the model of the hand-over, as one list: whoever asks whether a loss, a repetition or a
 * crash is tried reads it here from top to bottom.
 */

import { grantMove, settle } from "../grants.ts";
import { describe, type HandOverEvent, refuseExecution } from "../handover.ts";
import { type Break, carryOut, decide, has, outcome, patchHost, type Side, send, targetOf, textOf } from "./effects.ts";
import { addressOf, guestId, type Host, hostIdOf, hostNames, hostOf, migrationOf, type World } from "./world.ts";

/** One thing that can happen next. `fault` is what nobody wants: such steps are not counted on to get anywhere. */
export interface Action {
	text: string;
	fault: boolean;
	world: World;
}

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
