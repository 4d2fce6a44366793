import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import type { SignedPermit } from "@sterna/shared/protocol/permit";
import type { Decision, HandOverEvent } from "./handover.ts";
import { transition } from "./handover.ts";
import { copiedVolumes, type JournalEntry, type MoveFacts } from "./journal.ts";
import type { DiskProgress, MemoryProgress, MigrationPorts, PreparedTarget, Streams } from "./ports.ts";
import { type LiveProgress, migrationReport } from "./progress.ts";

type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, "at"> & { at?: number } : never;
/** A journal entry to be; its time is now when it does not say. */
export type Happening = WithoutTime<JournalEntry>;

/** One move under way on the source's agent: its facts, its ports, its journal, and what the phases hand to each other. */
export class Move {
	readonly facts: MoveFacts;
	readonly ports: MigrationPorts;
	/** Aborts when the move is to be undone; without effect after the commit point. */
	readonly cancel: AbortSignal;
	/** Aborts when this agent ends: whatever is tried for ever is left to the next life. */
	readonly stop: AbortSignal;
	prepared: PreparedTarget | null = null;
	streams: Streams | null = null;
	targetLoaded = false;
	readonly #journal: JournalEntry[];
	/** Entries of the pause, which wait until the guest runs again: no write but the records' stands in the pause. */
	readonly #unwritten: JournalEntry[] = [];
	#writing: Promise<void> = Promise.resolve();
	#holding = false;
	#generation = -1;
	readonly #live: LiveProgress = { disk: null, memory: null, inDoubt: false };

	constructor(options: {
		facts: MoveFacts;
		ports: MigrationPorts;
		cancel: AbortSignal;
		stop: AbortSignal;
		/** What an earlier life of the agent wrote; empty for a new move. */
		journal?: JournalEntry[];
	}) {
		this.facts = options.facts;
		this.ports = options.ports;
		this.cancel = options.cancel;
		this.stop = options.stop;
		this.#journal = [...(options.journal ?? [])];
	}

	get journal(): readonly JournalEntry[] {
		return this.#journal;
	}

	/** Decides about the guest's record with `transition`; fulfilled when the record is durable. */
	async decide(event: HandOverEvent | (() => Promise<HandOverEvent>)): Promise<Decision> {
		return this.ports.records.update(this.facts.guestId, async (record) =>
			transition(record, typeof event === "function" ? await event() : event),
		);
	}

	/** Writes an entry durably and tells everyone. During the pause the writing waits. */
	async note(happening: Happening): Promise<void> {
		const entry: JournalEntry = { at: this.ports.clock.now(), ...happening };
		this.#journal.push(entry);
		this.#unwritten.push(entry);
		this.tell();
		if (entry.type === "paused") this.#holding = true;
		if (entry.type === "heard" || entry.type === "undoing" || entry.type === "note") this.#holding = false;
		if (!this.#holding) await this.flush();
	}

	/** A note whose writing nobody waits for; if it fails, the next entry's writing takes it along. */
	remark(text: string): void {
		this.note({ type: "note", text: text.slice(0, 500) }).catch(() => {});
	}

	/** Writes what a failed or held write left over; one write at a time, in order. */
	flush(): Promise<void> {
		const write = async () => {
			const entries = [...this.#unwritten];
			if (entries.length === 0) return;
			await this.ports.journal.append(entries);
			this.#unwritten.splice(0, entries.length);
		};
		const written = this.#writing.then(write);
		this.#writing = written.catch(() => {});
		return written;
	}

	onDisk(disk: DiskProgress): void {
		this.#live.disk = disk;
		this.tell();
	}

	onMemory(memory: MemoryProgress): void {
		this.#live.memory = memory;
		this.tell();
	}

	/** True when this is news. */
	setInDoubt(inDoubt: boolean): boolean {
		if (this.#live.inDoubt === inDoubt) return false;
		this.#live.inDoubt = inDoubt;
		this.tell();
		return true;
	}

	report(): MigrationReport {
		const report = migrationReport(this.#journal, this.#live, this.#generation, this.ports.clock.now());
		this.#generation = report.generation;
		return report;
	}

	tell(): void {
		this.ports.publish(this.report());
	}

	copiedVolumes(): VolumeId[] {
		return copiedVolumes(this.#journal);
	}

	/** @throws {SternaError} `internal` when the phases are out of order. */
	needStreams(): Streams {
		if (!this.streams) throw new SternaError("internal", "the streams to the target are not open");
		return this.streams;
	}

	/** @throws {SternaError} `internal` for a move that was handed over and has lost its journal. */
	needPermit(): SignedPermit {
		if (!this.facts.permit) throw new SternaError("internal", "the permit of the move is lost");
		return this.facts.permit;
	}

	/** @throws {SternaError} `internal` when the phases are out of order. */
	needPrepared(): PreparedTarget {
		if (!this.prepared) throw new SternaError("internal", "the target has not been prepared");
		return this.prepared;
	}
}
