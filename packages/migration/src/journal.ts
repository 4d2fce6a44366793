import { WireError } from "@sterna/shared/errors";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs, VolumeId } from "@sterna/shared/ids";
import { MigrationOptions, MigrationPhase } from "@sterna/shared/migration";
import { PeerAddress } from "@sterna/shared/protocol/commands";
import { SignedPermit } from "@sterna/shared/protocol/permit";
import { z } from "zod";

/** What a move is: everything that is needed to take it up again after a restart of the source's agent. */
export const MoveFacts = z.strictObject({
	migrationId: MigrationId,
	guestId: GuestId,
	guestName: z.string().max(63),
	epoch: Epoch,
	sourceHostId: HostId,
	target: PeerAddress,
	/** What allows the move; shown again for a discard. Null when the journal was lost after the hand-over: nothing is discarded then. */
	permit: SignedPermit.nullable(),
	options: MigrationOptions,
	startedAt: TimestampMs,
});
export type MoveFacts = z.infer<typeof MoveFacts>;

/**
 * One line of a move's journal, durable before the next thing is done. The journal says how far a move got and what is
 * owed; who may run the guest is said by the ownership record alone.
 */
export const JournalEntry = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("opened"), at: TimestampMs, move: MoveFacts }),
	z.strictObject({ type: z.literal("phaseBegan"), at: TimestampMs, phase: MigrationPhase }),
	z.strictObject({ type: z.literal("phaseDone"), at: TimestampMs, phase: MigrationPhase }),
	/** The target is ready; these volumes will be copied and are deleted here in the end. */
	z.strictObject({ type: z.literal("prepared"), at: TimestampMs, copiedVolumes: z.array(VolumeId).max(16) }),
	z.strictObject({ type: z.literal("paused"), at: TimestampMs }),
	/** The target runs the guest. */
	z.strictObject({ type: z.literal("heard"), at: TimestampMs, restarted: z.boolean() }),
	z.strictObject({ type: z.literal("undoing"), at: TimestampMs, cancelled: z.boolean(), error: WireError }),
	z.strictObject({ type: z.literal("undone"), at: TimestampMs, phase: MigrationPhase }),
	z.strictObject({ type: z.literal("ended"), at: TimestampMs, state: z.enum(["completed", "failed", "cancelled"]) }),
	/** Something a person should know: a retry, a restart of the agent, a step of the convergence policy. */
	z.strictObject({ type: z.literal("note"), at: TimestampMs, text: z.string().max(500) }),
]);
export type JournalEntry = z.infer<typeof JournalEntry>;

/** The volumes whose content the target has of its own; empty when the move never got there. */
export function copiedVolumes(journal: readonly JournalEntry[]): VolumeId[] {
	return journal.flatMap((entry) => (entry.type === "prepared" ? entry.copiedVolumes : []));
}

/** The target was asked to prepare, the move did not commit, and no discard was confirmed. */
export function owesDiscard(journal: readonly JournalEntry[]): boolean {
	const has = (type: "phaseBegan" | "undone", phase: MigrationPhase) =>
		journal.some((entry) => entry.type === type && entry.phase === phase);
	const undoing = journal.some((entry) => entry.type === "undoing");
	return undoing && has("phaseBegan", "prepareTarget") && !has("undone", "prepareTarget");
}

/** The last reason given for unwinding. */
export function failureOf(journal: readonly JournalEntry[]): { error: WireError; cancelled: boolean } | null {
	const entry = journal.findLast((candidate) => candidate.type === "undoing");
	return entry?.type === "undoing" ? { error: entry.error, cancelled: entry.cancelled } : null;
}

export function hasEnded(journal: readonly JournalEntry[]): boolean {
	return journal.some((entry) => entry.type === "ended");
}
