import { GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import type { PeerAddress } from "@sterna/shared/protocol/commands";
import { firstGrant, type GuestGrant } from "../grants.ts";
import type { Effect, ProcessState } from "../handover.ts";
import type { OwnershipRecord } from "../ownership-record.ts";

/**
 * One state of the model: two hosts, their agents and processes, a console, one guest, and the network between them.
 *
 * The network is the set of all messages ever sent. Any of them may be delivered at any time, any number of times, or
 * never: that is loss, repetition, delay and every reordering at once.
 */
export interface World {
	readonly hosts: readonly [Host, Host];
	/** Durable: the console's row. It keeps nothing else, so its crash is a step that is not taken. */
	readonly grant: GuestGrant;
	/** The host that each granted epoch leads to; index is the epoch. */
	readonly targets: readonly (0 | 1)[];
	/** One bit per message that was ever sent, see `messageBit`. */
	readonly sent: number;
	/** Bit per epoch: every byte of memory has left the source; it may arrive at any later time, even after a cancel. */
	readonly streamed: number;
	/** Bit per epoch: the source's journal says that the move was abandoned, so a discard is owed. Durable. */
	readonly abandoned: number;
	/** The highest epoch that any record has carried as owner or released. No part of the system: the invariants use it. */
	readonly committed: number;
	/** How many moves the console grants in all. */
	readonly moves: number;
	readonly crashesLeft: number;
	readonly deathsLeft: number;
	/** How many servers may still be lost for good: none or one. */
	readonly lossesLeft: number;
	/** The server that is gone and proved dead: nothing of it happens any more, but what it sent may still arrive. */
	readonly lost: 0 | 1 | null;
	/** Durable at the console: it has granted the guest to the server that is left under this epoch; 0 while it has not. */
	readonly recoveryEpoch: number;
}

export interface Host {
	/** Durable. */
	readonly record: OwnershipRecord | null;
	/** The process outlives its agent. */
	readonly process: ProcessState;
	/** The epoch that the held process waits for; 0 for others. */
	readonly heldEpoch: number;
	/** In the agent's memory: effects of decisions that are stored already, in order. */
	readonly pending: readonly Pending[];
	/** In the agent's memory: how far the move from here is. */
	readonly step: Step;
}

/** An effect of `transition`, or what the agent tells `transition` after one. */
export type Pending =
	| Effect
	| { do: "noteArrived"; epoch: number }
	| { do: "noteEnded"; epoch: number }
	| { do: "noteRetired"; epoch: number }
	/** Only with `--break release`: the record is written when it is too late. */
	| { do: "storeLate"; record: OwnershipRecord };

export const steps = ["idle", "preparing", "copying", "paused", "targetLoaded"] as const;
export type Step = (typeof steps)[number];

export const messages = [
	"start",
	"prepare",
	"prepared",
	"loaded",
	"run",
	"ran",
	"discard",
	"ownerReport",
	"endedReport",
] as const;
export type MessageKind = (typeof messages)[number];

/** Epochs 1 to 4 are in the model: the guest's first, and at most three moves, or two and a recovery. */
export const maxMoves = 3;

/** Nothing but reports is ever sent about epoch 1, so three moves fit into one 32-bit set. */
export function messageBit(kind: MessageKind, epoch: number): number {
	if (kind === "ownerReport") return 1 << (24 + epoch - 1);
	const index = messages.indexOf(kind === "endedReport" ? "ownerReport" : kind);
	return 1 << (index * maxMoves + epoch - 2);
}

export const guestId = GuestId.parse("00000000-0000-4000-8000-000000000001");
export const hostIds = ["A", "B"].map((_, i) => HostId.parse(`00000000-0000-4000-8000-0000000000a${i}`));
export const hostNames = ["A", "B"] as const;
const migrationIds = [0, 1, 2, 3, 4].map((e) => MigrationId.parse(`00000000-0000-4000-8000-0000000000e${e}`));

export function hostIdOf(host: 0 | 1): HostId {
	return hostIds[host] ?? HostId.parse("");
}

export function hostOf(hostId: HostId): 0 | 1 {
	return hostId === hostIds[0] ? 0 : 1;
}

export function migrationOf(epoch: number): MigrationId {
	return migrationIds[epoch] ?? MigrationId.parse("");
}

export function epochOf(migrationId: MigrationId): number {
	return migrationIds.indexOf(migrationId);
}

const addresses = ([0, 1] as const).map((host): PeerAddress => {
	return { hostId: hostIdOf(host), name: hostNames[host], address: "host", port: 1 };
});

export function addressOf(host: 0 | 1): PeerAddress {
	return addresses[host] ?? { hostId: hostIdOf(host), name: "", address: "", port: 1 };
}

/** The guest runs on A under epoch 1; B has never heard of it. */
export function firstWorld(bounds: { moves: number; crashes: number; deaths: number; losses: number }): World {
	const owner: OwnershipRecord = { role: "owner", guestId, epoch: 1, highestEpoch: 1, outgoing: null, arrival: null };
	return {
		hosts: [
			{ record: owner, process: "running", heldEpoch: 0, pending: [], step: "idle" },
			{ record: null, process: "absent", heldEpoch: 0, pending: [], step: "idle" },
		],
		grant: firstGrant(guestId, hostIdOf(0)),
		targets: [],
		sent: 0,
		streamed: 0,
		abandoned: 0,
		committed: 1,
		moves: bounds.moves,
		crashesLeft: bounds.crashes,
		deathsLeft: bounds.deaths,
		lossesLeft: bounds.losses,
		lost: null,
		recoveryEpoch: 0,
	};
}

const processStates: readonly ProcessState[] = ["absent", "running", "paused", "loading", "loaded", "handedOver"];
const pendingKinds: readonly Pending["do"][] = [
	"startHeld",
	"letGo",
	"bootFromDisk",
	"answerRun",
	"resumeHere",
	"sendDiscard",
	"sendRun",
	"retire",
	"clear",
	"endProcess",
	"noteArrived",
	"noteEnded",
	"noteRetired",
	"storeLate",
];
const roles = ["none", "owner", "incoming", "released"] as const;

/** The state as a short text of one-byte characters: equal texts are equal states. */
export function keyOf(world: World): string {
	const { grant, sent } = world;
	const permit = grant.permit ? grant.permit.epoch : 0;
	let targets = 0;
	for (let epoch = 2; epoch < world.targets.length; epoch++) targets |= (world.targets[epoch] ?? 0) << (epoch - 2);
	const shared = String.fromCharCode(
		sent & 255,
		(sent >>> 8) & 255,
		(sent >>> 16) & 255,
		sent >>> 24,
		hostOf(grant.ownerHostId) | (grant.ownerEpoch << 1) | (grant.highestEpoch << 4),
		permit | (targets << 3),
		(world.streamed >> 2) | ((world.abandoned >> 2) << 3),
		world.crashesLeft | (world.deathsLeft << 3) | (world.committed << 5),
		world.lossesLeft | ((world.lost === null ? 0 : world.lost + 1) << 1) | (world.recoveryEpoch << 3),
	);
	return shared + hostKey(world.hosts[0]) + hostKey(world.hosts[1]);
}

function hostKey({ record, process, heldEpoch, pending, step }: Host): string {
	let key = recordKey(record);
	key += String.fromCharCode(
		processStates.indexOf(process) | (heldEpoch << 3),
		steps.indexOf(step) | (pending.length << 3),
	);
	for (const effect of pending)
		key += String.fromCharCode(pendingKinds.indexOf(effect.do) | (epochOfPending(effect) << 4));
	return key;
}

function recordKey(record: OwnershipRecord | null): string {
	if (!record) return "\xff";
	const { arrival } = record;
	const epoch = record.role === "none" ? 0 : record.epoch;
	const outgoing = record.role === "owner" ? record.outgoing : null;
	const flags =
		(arrival?.restarted ? 1 : 0) |
		(arrival && arrival.resumedAt !== null ? 2 : 0) |
		(outgoing?.abandoned ? 4 : 0) |
		(record.role === "released" && record.heard ? 8 : 0);
	return String.fromCharCode(
		roles.indexOf(record.role) | (epoch << 2) | ((flags << 5) & 0xe0),
		record.highestEpoch | ((arrival?.epoch ?? 0) << 3) | (flags & 8 ? 64 : 0),
		outgoing?.epoch ?? 0,
	);
}

function epochOfPending(effect: Pending): number {
	switch (effect.do) {
		case "startHeld":
		case "letGo":
		case "bootFromDisk":
		case "clear":
		case "endProcess":
			return 0;
		case "answerRun":
			return effect.arrival.epoch;
		case "sendDiscard":
			return effect.outgoing.epoch;
		case "resumeHere":
		case "retire":
			return epochOf(effect.migrationId);
		case "sendRun":
		case "noteArrived":
		case "noteEnded":
		case "noteRetired":
			return effect.epoch;
		case "storeLate":
			return effect.record.role === "none" ? 0 : effect.record.epoch;
	}
}
