import type { CopyDisks, CopyMemory } from "@sterna/shared/copying";
import type { GuestId, MigrationId, VolumeId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import type { Output } from "@sterna/shared/protocol/commands";
import type { SignedPermit } from "@sterna/shared/protocol/permit";
import type { Decision, ProcessState } from "./handover.ts";
import type { JournalEntry } from "./journal.ts";
import type { OwnershipRecord } from "./ownership-record.ts";

export type { CopyDisks, CopyMemory, DiskProgress, MemoryProgress, Steering } from "@sterna/shared/copying";

/**
 * Everything a migration needs from outside, on the source's agent. Each promise ends within its own deadline and rejects
 * with a `SternaError`. The ports are bound to one guest and one move where that spares an argument.
 */
export interface MigrationPorts {
	source: SourcePort;
	target: TargetPort;
	records: RecordPort;
	journal: JournalPort;
	clock: Clock;
	/** Tells everyone how far the move is; a failure here is not the move's. */
	publish(report: MigrationReport): void;
}

/** What the target answered to `incoming.prepare`. */
export type PreparedTarget = Output<"incoming.prepare">;

/** Local unix sockets that lead, through the agents' mutual TLS, to the target's process. */
export interface Streams {
	memorySocket: string;
	/** One per volume that is copied; empty when all are shared. */
	disks: { volumeId: VolumeId; socket: string }[];
}

/** The guest's process on this host and the streams to the target: verbs of `Hypervisor`, and the agent's sockets. */
export interface SourcePort {
	processState(guestId: GuestId): Promise<ProcessState>;
	openStreams(prepared: PreparedTarget): Promise<Streams>;
	/** Nothing open: no change. */
	closeStreams(): Promise<void>;
	copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void>;
	copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }>;
	switchOver(guestId: GuestId, signal: AbortSignal): Promise<void>;
	/** Before the commit point only. Fulfilled when the guest is seen running here. Nothing under way: makes sure that it runs. */
	cancelMigration(guestId: GuestId): Promise<void>;
	/** After the target has answered: ends the old process and deletes the volumes that were copied. Gone already: no change. */
	retire(guestId: GuestId, copiedVolumes: VolumeId[]): Promise<void>;
}

/** `incoming.*` on the target's agent, for this move. `unavailable` and `timeout` say nothing about what it did. */
export interface TargetPort {
	prepare(signal: AbortSignal): Promise<PreparedTarget>;
	renew(): Promise<Output<"incoming.renew">>;
	run(): Promise<Output<"incoming.run">>;
	discard(permit: SignedPermit): Promise<void>;
}

/** The ownership records of this host, one file per guest. */
export interface RecordPort {
	read(guestId: GuestId): Promise<OwnershipRecord | null>;
	/**
	 * Decides and stores under the guest's lock: nobody else decides about this guest meanwhile. When the decision is
	 * `accept`, its record is on disk (file and folder synced) before this is fulfilled.
	 */
	update(guestId: GuestId, decide: (record: OwnershipRecord | null) => Decision | Promise<Decision>): Promise<Decision>;
}

/** The journal of one move: a file that only grows. `append` is fulfilled when the entries are on disk. */
export interface JournalPort {
	append(entries: readonly JournalEntry[]): Promise<void>;
	read(migrationId: MigrationId): Promise<JournalEntry[]>;
}

export interface Clock {
	/** Milliseconds since 1970, as the journal and the reports say it. */
	now(): number;
	/** Calls `action` once after the delay. Returns the way to call it off. */
	after(delayMs: number, action: () => void): () => void;
}
