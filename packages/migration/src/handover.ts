import type { ErrorCode } from "@sterna/shared/errors";
import type { Epoch, GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import type { PeerAddress } from "@sterna/shared/protocol/commands";
import type { Arrival, Outgoing, OwnershipRecord } from "./ownership-record.ts";

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
 * A `grant` after the other side was proved dead replaces whatever move the record is in; memory that a process still
 * holds for that move is never run again (see `grant`).
 * `explore/` tries every interleaving of these transitions with losses, repetitions, crashes and the end of a server.
 */

/** The guest's process as the driver sees it (`hypervisor.ts`). */
export type ProcessState = "absent" | "running" | "paused" | "loading" | "loaded" | "handedOver";

export type HandOverEvent =
	/** Console: a new guest, or a grant after the former owner was proved dead. When the answer is to `clear`, ask again when that is done. */
	| {
			type: "grant";
			guestId: GuestId;
			epoch: Epoch;
			process: ProcessState;
			/** Volumes were made on this host for a move to fill; only a `loaded` process proves that they are whole. */
			fillsVolumes: boolean;
			at: number;
	  }
	/** Console: the guest is deleted here. */
	| { type: "forget"; epoch: Epoch }
	/** Source: a permit arrived. */
	| ({ type: "beginMove" } & Omit<Outgoing, "abandoned">)
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
	/** Either: end the process, whose memory a grant has made void; its volumes stay, and the guest is stopped. */
	| { do: "endProcess" }
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
/** A process that a move left, its CPUs held. */
const isHeld = (process: ProcessState) => ["loading", "loaded", "handedOver"].includes(process);
const unknownVolumes =
	"the guest's volumes were being copied to this host, and nothing proves that they are complete; only their source knows";

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

/**
 * A grant replaces the move that the record is in. A process that is held for that move is ended, and the guest starts
 * from its disks: between its memory and this grant others may have run the guest. The source of a target that was only
 * `loaded` may have gone on and written to shared disks; so may an owner under an epoch in between. Memory that knows
 * less than its disks destroys them, and nothing here can tell whether it does. A process that runs was let go by an
 * owner record and is no leftover: it runs on.
 */
function grant(record: OwnershipRecord | null, event: Event<"grant">): Decision {
	const { guestId, epoch, process } = event;
	if (record?.role === "owner" && record.epoch === epoch) return endHeld(record, process);
	if (record && epoch <= record.highestEpoch) return stale(record, epoch);
	const owner = { role: "owner", guestId, epoch, highestEpoch: epoch, outgoing: null } as const;
	const arrival = record?.arrival ?? null;
	switch (record?.role) {
		case "owner": {
			if (record.outgoing) return refuse("wrong_state", movingAway);
			const effects: Effect[] = isHeld(process) ? [{ do: "endProcess" }] : [];
			if (arrival?.resumedAt !== null) return accept({ ...owner, arrival }, ...effects);
			const restarted = arrival.restarted || process !== "running";
			return accept({ ...owner, arrival: { ...arrival, restarted, resumedAt: event.at } }, ...effects);
		}
		case "incoming": {
			if (process !== "loaded" && event.fillsVolumes) return refuse("wrong_state", unknownVolumes);
			// The source may have released the guest before it was lost: if it comes back it must hear that it may retire.
			const { migrationId, epoch: arrivedUnder } = record;
			const replaced = { migrationId, epoch: arrivedUnder, restarted: true, resumedAt: event.at };
			return accept({ ...owner, arrival: replaced }, { do: "endProcess" });
		}
		case "released":
			if (record.heard) return refuse("wrong_state", `${record.target.name} runs the guest; it is being removed here`);
			return accept({ ...owner, arrival }, { do: "endProcess" });
		default:
			// Half of a volume that a discarded move left must not be taken for the guest's.
			return process === "absent" && !event.fillsVolumes ? accept({ ...owner, arrival }) : keep({ do: "clear" });
	}
}

/** The owner's held process when nothing is moving or arriving: a grant replaced its move, and it was not ended yet. */
function endHeld(record: Of<"owner">, process: ProcessState): Decision {
	const settled = !record.outgoing && record.arrival?.resumedAt !== null;
	return settled && isHeld(process) ? keep({ do: "endProcess" }) : keep();
}

function forget(record: OwnershipRecord, { epoch }: Event<"forget">): Decision {
	return refuseExecution(record, epoch) ?? accept(floor(record), { do: "clear" });
}

function beginMove(record: OwnershipRecord, { type: _, ...move }: Event<"beginMove">): Decision {
	if (record.role !== "owner") return refuse("wrong_state", `this host does not own the guest (${describe(record)})`);
	if (record.outgoing?.migrationId === move.migrationId) return keep();
	if (move.epoch <= record.highestEpoch) return stale(record, move.epoch);
	if (record.outgoing) return refuse("wrong_state", `the guest is already moving under epoch ${record.outgoing.epoch}`);
	if (record.arrival?.resumedAt === null) return refuse("wrong_state", arriving);
	return accept({ ...record, highestEpoch: move.epoch, outgoing: { ...move, abandoned: false } });
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
			if (record.arrival?.resumedAt === null) return recoverArrival(record, record.arrival, process);
			return endHeld(record, process);
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
