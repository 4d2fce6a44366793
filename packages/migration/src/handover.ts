import type { ErrorCode } from "@sterna/shared/errors";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { PeerAddress } from "@sterna/shared/protocol/commands";
import { z } from "zod";

/**
 * Who may run a guest: the durable record that each agent keeps of it, and the one pure function that changes it.
 *   source   owner n ──beginMove──▶ owner n, outgoing n+1 ──release──▶ released n+1 ──heard──▶ ──retired──▶ none
 *                 ▲                        │ abandon
 *                 └───────moveEnded────────┘ (outgoing abandoned; epoch n+1 is burned)
 *
 *   target   none ──prepare──▶ incoming n+1 ──run──▶ owner n+1 ──arrived──▶ owner n+1, CPUs running
 *                                   └──discard, lease──▶ none (remembers n+1 and refuses it from then on)
 *
 * `release` is the commit point. Before it every failure unwinds and the source runs on; after it the source never runs
 * the guest again under a lower epoch. The rule for whoever carries out a decision: **first the record, durably, then the
 * effects, in order.** Every effect can be repeated, so after a crash `recover` gives those that may be missing.
 * Two observations must be made under the guest's lock, together with the write or the answer they lead to: that memory
 * is still incomplete (`leaseExpired`), and that it is complete (the answer `loaded` to the source). Loading never
 * follows loaded, so a target that has said `loaded` never discards by itself: it may have been released to.
 * `explore/` tries every interleaving of these transitions with losses, repetitions and crashes.
 */

/** How the guest came to run here: the answer to `incoming.run`, kept so that every repetition is answered the same way. */
export const Arrival = z.strictObject({
	migrationId: MigrationId,
	epoch: Epoch,
	/** Memory was lost and the guest was started from its disks. */
	restarted: z.boolean(),
	/** When the CPUs were let go, by this host's clock; null until they were. */
	resumedAt: TimestampMs.nullable(),
});
export type Arrival = z.infer<typeof Arrival>;

/** A move away from here that has not reached its commit point. */
export const Outgoing = z.strictObject({
	migrationId: MigrationId,
	epoch: Epoch,
	target: PeerAddress,
	/** It is being unwound and can no longer be released. */
	abandoned: z.boolean(),
});
export type Outgoing = z.infer<typeof Outgoing>;

const common = {
	guestId: GuestId,
	/** The highest epoch seen for this guest, also of moves that failed: whatever asks with less or the same is refused. */
	highestEpoch: Epoch,
	/** The last time the guest came here by a move. */
	arrival: Arrival.nullable(),
};

/** The content of the record file in the guest's folder. `none` stays for ever: a forgotten epoch could be obeyed again. */
export const OwnershipRecord = z.discriminatedUnion("role", [
	z.strictObject({ role: z.literal("owner"), epoch: Epoch, outgoing: Outgoing.nullable(), ...common }),
	z.strictObject({
		role: z.literal("incoming"),
		epoch: Epoch,
		migrationId: MigrationId,
		sourceHostId: HostId,
		...common,
	}),
	z.strictObject({
		role: z.literal("released"),
		epoch: Epoch,
		migrationId: MigrationId,
		target: PeerAddress,
		/** The target answered that it runs the guest; without, the hand-over is in doubt. */
		heard: z.boolean(),
		...common,
	}),
	z.strictObject({ role: z.literal("none"), ...common }),
]);
export type OwnershipRecord = z.infer<typeof OwnershipRecord>;

/** The guest's process as the driver sees it (`hypervisor.ts`). */
export type ProcessState = "absent" | "running" | "paused" | "loading" | "loaded" | "handedOver";

export type HandOverEvent =
	/** Console: a new guest, or a grant after the former owner was proved dead. */
	| { type: "grant"; guestId: GuestId; epoch: Epoch }
	/** Console: the guest is deleted here. */
	| { type: "forget"; epoch: Epoch }
	/** Source: a permit arrived. */
	| { type: "beginMove"; migrationId: MigrationId; epoch: Epoch; target: PeerAddress }
	/** Source: everything is sent and the target said `loaded`. The commit point. */
	| { type: "release"; migrationId: MigrationId; process: ProcessState; targetLoaded: boolean }
	/** Source: a failure or a cancel before the commit point. */
	| { type: "abandon"; migrationId: MigrationId }
	/** Source: the abandoned move is unwound, the guest runs. */
	| { type: "moveEnded"; migrationId: MigrationId }
	/** Source: the target answered `run`. */
	| { type: "heard"; migrationId: MigrationId }
	/** Source: the old process and its copied volumes are gone. */
	| { type: "retired"; migrationId: MigrationId }
	/** Target: a guest wants to come. When the answer is to `clear`, ask again when that is done. */
	| {
			type: "prepare";
			guestId: GuestId;
			migrationId: MigrationId;
			epoch: Epoch;
			sourceHostId: HostId;
			process: ProcessState;
	  }
	/** Target: the source has released the guest. */
	| { type: "run"; migrationId: MigrationId; epoch: Epoch; process: ProcessState }
	/** Target: its CPUs run. */
	| { type: "arrived"; migrationId: MigrationId; resumedAt: number }
	/** Target: the source gave the move up. */
	| { type: "discard"; guestId: GuestId; migrationId: MigrationId; epoch: Epoch }
	/** Target: the source was not heard for the length of the lease. */
	| { type: "leaseExpired"; process: ProcessState }
	/** Either: the agent has started again, or an effect failed. */
	| { type: "recover"; process: ProcessState };

export type Effect =
	/** Target: start the process with its CPUs held, empty. */
	| { do: "startHeld" }
	/** Target: let the CPUs of the loaded process go, then tell `arrived`. Not any more when the record has another owner or the arrival is complete. */
	| { do: "letGo" }
	/** Target: the loaded process is gone: start the guest from its disks, then tell `arrived`. */
	| { do: "bootFromDisk" }
	/** Target: answer `incoming.run` with this arrival. */
	| { do: "answerRun"; arrival: Arrival }
	/** Source: stop the copying and see that the guest runs here, then tell `moveEnded`. */
	| { do: "resumeHere"; migrationId: MigrationId }
	/** Source: tell the target to throw away what it has, until it confirms. */
	| { do: "sendDiscard"; outgoing: Outgoing }
	/** Source: tell the target to run the guest, for ever until it answers, then tell `heard`. */
	| { do: "sendRun"; target: PeerAddress; migrationId: MigrationId; epoch: Epoch }
	/** Source: end the old process, delete the copied volumes, then tell `retired`. */
	| { do: "retire"; migrationId: MigrationId }
	/** Either: end whatever process there is and delete its copied volumes. */
	| { do: "clear" };

/** `accept`: store the record durably, then carry out the effects. `keep`: the record stays; the effects are a repetition. */
export type Decision =
	| { verdict: "accept"; record: OwnershipRecord; effects: Effect[] }
	| { verdict: "keep"; effects: Effect[] }
	| { verdict: "refuse"; code: ErrorCode; message: string };

type Of<Role extends OwnershipRecord["role"]> = Extract<OwnershipRecord, { role: Role }>;
type Event<Type extends HandOverEvent["type"]> = Extract<HandOverEvent, { type: Type }>;

const movingAway = "the guest is being moved away from this host";
const arriving = "the guest is just arriving on this host";

/** What `event` makes of the record. Pure; `null` is a guest that this host never heard of. */
export function transition(record: OwnershipRecord | null, event: HandOverEvent): Decision {
	switch (event.type) {
		case "grant":
			return grant(record, event);
		case "prepare":
			return prepare(record, event);
		case "discard":
			return discard(record, event);
		case "recover":
			return record ? recover(record, event.process) : keep();
	}
	if (!record) return refuse("not_found", "this host has no record of the guest");
	switch (event.type) {
		case "forget":
			return forget(record, event);
		case "beginMove":
			return beginMove(record, event);
		case "release":
			return release(record, event);
		case "abandon":
			return abandon(record, event.migrationId);
		case "moveEnded":
			return moveEnded(record, event.migrationId);
		case "heard":
			return heard(record, event.migrationId);
		case "retired":
			return retired(record, event.migrationId);
		case "run":
			return run(record, event);
		case "arrived":
			return arrived(record, event);
		case "leaseExpired":
			return record.role === "incoming" && event.process === "loading"
				? accept(floor(record), { do: "clear" })
				: keep();
	}
}

/**
 * Why this host may not execute the guest under `epoch` by a start or a resume; null when it may.
 * A guest that is being moved away is left to its migration.
 */
export function refuseExecution(
	record: OwnershipRecord | null,
	epoch: Epoch,
): Extract<Decision, { verdict: "refuse" }> | null {
	if (record?.role !== "owner") return refuse("wrong_state", `this host does not own the guest (${describe(record)})`);
	if (epoch < record.epoch) return stale(record, epoch);
	if (epoch > record.epoch) return refuse("wrong_state", `this host owns the guest under epoch ${record.epoch} only`);
	if (record.outgoing) return refuse("wrong_state", movingAway);
	return record.arrival?.resumedAt === null ? refuse("wrong_state", arriving) : null;
}

/** The record as a person reads it: `owner under epoch 4`. */
export function describe(record: OwnershipRecord | null): string {
	if (!record) return "no record";
	switch (record.role) {
		case "owner":
			return `owner under epoch ${record.epoch}${record.outgoing ? `, moving away under ${record.outgoing.epoch}` : ""}`;
		case "incoming":
			return `incoming under epoch ${record.epoch}`;
		case "released":
			return `released under epoch ${record.epoch} to ${record.target.name}${record.heard ? "" : ", unanswered"}`;
		case "none":
			return `not here, epochs up to ${record.highestEpoch} refused`;
	}
}

function grant(record: OwnershipRecord | null, { guestId, epoch }: Event<"grant">): Decision {
	if (record?.role === "owner" && record.epoch === epoch) return keep();
	if (record && epoch <= record.highestEpoch) return stale(record, epoch);
	if (record?.role === "owner" && record.outgoing) return refuse("wrong_state", movingAway);
	const arrival = record?.arrival ?? null;
	return accept({ role: "owner", guestId, epoch, highestEpoch: epoch, outgoing: null, arrival });
}

function forget(record: OwnershipRecord, { epoch }: Event<"forget">): Decision {
	return refuseExecution(record, epoch) ?? accept(floor(record), { do: "clear" });
}

function beginMove(record: OwnershipRecord, { migrationId, epoch, target }: Event<"beginMove">): Decision {
	if (record.role !== "owner") return refuse("wrong_state", `this host does not own the guest (${describe(record)})`);
	if (record.outgoing?.migrationId === migrationId) return keep();
	if (epoch <= record.highestEpoch) return stale(record, epoch);
	if (record.outgoing) return refuse("wrong_state", `the guest is already moving under epoch ${record.outgoing.epoch}`);
	if (record.arrival?.resumedAt === null) return refuse("wrong_state", arriving);
	return accept({ ...record, highestEpoch: epoch, outgoing: { migrationId, epoch, target, abandoned: false } });
}

function release(record: OwnershipRecord, { migrationId, process, targetLoaded }: Event<"release">): Decision {
	if (record.role === "released" && record.migrationId === migrationId) return keep(...recoverReleased(record));
	const outgoing = outgoingOf(record, migrationId);
	if (!outgoing) return refuse("wrong_state", `no move of that id is under way (${describe(record)})`);
	if (outgoing.abandoned) return refuse("wrong_state", "the move is being unwound and cannot be handed over");
	if (process !== "handedOver" || !targetLoaded) {
		return refuse(
			"wrong_state",
			`the guest is not ready to be handed over: its process here is ${process}, the target ${targetLoaded ? "has" : "has not"} its memory`,
		);
	}
	const { guestId, arrival } = record;
	const { epoch, target } = outgoing;
	return accept(
		{ role: "released", guestId, epoch, highestEpoch: epoch, arrival, migrationId, target, heard: false },
		{ do: "sendRun", target, migrationId, epoch },
	);
}

function abandon(record: OwnershipRecord, migrationId: MigrationId): Decision {
	const outgoing = outgoingOf(record, migrationId);
	if (record.role === "released" && record.migrationId === migrationId) {
		return refuse("wrong_state", "the guest has been handed over; it can only go forward");
	}
	if (record.role !== "owner" || !outgoing) return keep();
	const abandoned = { ...outgoing, abandoned: true };
	return accept(
		{ ...record, outgoing: abandoned },
		{ do: "resumeHere", migrationId },
		{ do: "sendDiscard", outgoing: abandoned },
	);
}

function moveEnded(record: OwnershipRecord, migrationId: MigrationId): Decision {
	const outgoing = outgoingOf(record, migrationId);
	if (record.role !== "owner" || !outgoing) return keep();
	if (!outgoing.abandoned) return refuse("wrong_state", "the move is still under way; it must be abandoned first");
	return accept({ ...record, outgoing: null });
}

function heard(record: OwnershipRecord, migrationId: MigrationId): Decision {
	if (record.role !== "released" || record.migrationId !== migrationId) return keep();
	return record.heard
		? keep({ do: "retire", migrationId })
		: accept({ ...record, heard: true }, { do: "retire", migrationId });
}

function retired(record: OwnershipRecord, migrationId: MigrationId): Decision {
	if (record.role !== "released" || record.migrationId !== migrationId) return keep();
	return record.heard
		? accept(floor(record))
		: refuse("wrong_state", "the target has not answered; the guest must be kept");
}

/**
 * A permit with a higher epoch proves that every lower one is settled: what is left of those here may go. It goes *before*
 * the new record is written, or its full memory could be taken for the new one's.
 */
function prepare(record: OwnershipRecord | null, event: Event<"prepare">): Decision {
	const { guestId, migrationId, epoch, sourceHostId, process } = event;
	if (record?.role === "incoming" && record.migrationId === migrationId && record.epoch === epoch) return keep();
	if (record && epoch <= record.highestEpoch) return stale(record, epoch);
	if (record?.role === "owner") return refuse("conflict", `this host runs the guest itself (${describe(record)})`);
	if (process !== "absent") return keep({ do: "clear" });
	const arrival = record?.arrival ?? null;
	return accept(
		{ role: "incoming", guestId, epoch, highestEpoch: epoch, arrival, migrationId, sourceHostId },
		{ do: "startHeld" },
	);
}

function run(record: OwnershipRecord, { migrationId, epoch, process }: Event<"run">): Decision {
	const { arrival } = record;
	if (arrival && arrival.epoch >= epoch) {
		if (arrival.resumedAt !== null) return keep({ do: "answerRun", arrival });
		return recover(record, process);
	}
	if (record.role !== "incoming" || record.migrationId !== migrationId || record.epoch !== epoch) {
		return refuse("wrong_state", `this host does not receive the guest under epoch ${epoch} (${describe(record)})`);
	}
	if (process === "loading") return refuse("wrong_state", "the guest's memory is not complete on this host");
	const restarted = process === "absent";
	const { guestId, highestEpoch } = record;
	return accept(
		{
			role: "owner",
			guestId,
			epoch,
			highestEpoch,
			outgoing: null,
			arrival: { migrationId, epoch, restarted, resumedAt: null },
		},
		{ do: restarted ? "bootFromDisk" : "letGo" },
	);
}

function arrived(record: OwnershipRecord, { migrationId, resumedAt }: Event<"arrived">): Decision {
	const { arrival } = record;
	if (arrival?.migrationId !== migrationId) return keep();
	if (arrival.resumedAt !== null) return keep({ do: "answerRun", arrival });
	const complete = { ...arrival, resumedAt };
	return accept({ ...record, arrival: complete }, { do: "answerRun", arrival: complete });
}

/** Also before its `prepare`, which may still be on the way. */
function discard(record: OwnershipRecord | null, { guestId, migrationId, epoch }: Event<"discard">): Decision {
	if (!record) return accept({ role: "none", guestId, highestEpoch: epoch, arrival: null });
	if (record.role === "incoming" && record.migrationId === migrationId) return accept(floor(record), { do: "clear" });
	if (record.arrival?.migrationId === migrationId) {
		return refuse("wrong_state", "the guest was handed over to this host and cannot be discarded");
	}
	if (record.role === "owner" || epoch <= record.highestEpoch) return keep();
	return accept({ ...record, highestEpoch: epoch });
}

function recover(record: OwnershipRecord, process: ProcessState): Decision {
	switch (record.role) {
		case "owner":
			if (record.outgoing) return abandon(record, record.outgoing.migrationId);
			return record.arrival?.resumedAt === null ? recoverArrival(record, record.arrival, process) : keep();
		case "incoming":
			return keep();
		case "released":
			return keep(...recoverReleased(record));
		case "none":
			return process === "absent" ? keep() : keep({ do: "clear" });
	}
}

/** The record says owner, the CPUs may not have been let go yet. */
function recoverArrival(record: Of<"owner">, arrival: Arrival, process: ProcessState): Decision {
	if (process !== "absent") return keep({ do: "letGo" });
	if (arrival.restarted) return keep({ do: "bootFromDisk" });
	return accept({ ...record, arrival: { ...arrival, restarted: true } }, { do: "bootFromDisk" });
}

function recoverReleased({ target, migrationId, epoch, heard }: Of<"released">): Effect[] {
	return heard ? [{ do: "retire", migrationId }] : [{ do: "sendRun", target, migrationId, epoch }];
}

function outgoingOf(record: OwnershipRecord, migrationId: MigrationId): Outgoing | null {
	return record.role === "owner" && record.outgoing?.migrationId === migrationId ? record.outgoing : null;
}

function floor({ guestId, highestEpoch, arrival }: OwnershipRecord): OwnershipRecord {
	return { role: "none", guestId, highestEpoch, arrival };
}

function accept(record: OwnershipRecord, ...effects: Effect[]): Decision {
	return { verdict: "accept", record, effects };
}

function keep(...effects: Effect[]): Decision {
	return { verdict: "keep", effects };
}

function refuse(code: ErrorCode, message: string): Extract<Decision, { verdict: "refuse" }> {
	return { verdict: "refuse", code, message };
}

function stale(record: OwnershipRecord, epoch: number): Extract<Decision, { verdict: "refuse" }> {
	return refuse("conflict", `epoch ${epoch} of the guest is refused: this host has seen epoch ${record.highestEpoch}`);
}
