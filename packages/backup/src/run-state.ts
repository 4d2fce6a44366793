import type { BackupReport } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PlannedVolume, RunEntry, RunFacts } from "./run-journal.ts";
import type { BackupPorts, CopyProgress, TakenSnapshot } from "./run-ports.ts";
import { backupReport, type LiveProgress } from "./run-report.ts";

type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, "at"> : never;
/** A journal entry to be. */
export type Happening = WithoutTime<RunEntry>;

/** One run under way: its facts, its ports, its journal, and what the phases hand to each other. */
export class BackupRun {
	readonly facts: RunFacts;
	readonly ports: BackupPorts;
	/** Aborts when the run is to be undone; without effect once the point is there. */
	readonly cancel: AbortSignal;
	/** Aborts when this agent ends: whatever is tried for ever is left to the next life. */
	readonly stop: AbortSignal;
	snapshot: TakenSnapshot | null = null;
	readonly #journal: RunEntry[];
	readonly #unwritten: RunEntry[] = [];
	readonly #live: LiveProgress = { readBytes: 0, storedBytes: 0, slowedBy: null, waitingFor: null };
	#writing: Promise<void> = Promise.resolve();
	#generation = 0;

	constructor(options: {
		facts: RunFacts;
		ports: BackupPorts;
		cancel: AbortSignal;
		stop: AbortSignal;
		/** What an earlier life of the agent wrote; empty for a new run. */
		journal?: RunEntry[];
	}) {
		this.facts = options.facts;
		this.ports = options.ports;
		this.cancel = options.cancel;
		this.stop = options.stop;
		this.#journal = [...(options.journal ?? [])];
	}

	get journal(): readonly RunEntry[] {
		return this.#journal;
	}

	/** Writes an entry durably and tells everyone. */
	async note(happening: Happening): Promise<void> {
		const entry: RunEntry = { at: this.ports.clock.now(), ...happening };
		this.#journal.push(entry);
		this.#unwritten.push(entry);
		this.tell();
		await this.flush();
	}

	/** A note whose writing nobody waits for; if it fails, the next entry's writing takes it along. */
	remark(text: string): void {
		this.note({ type: "note", text: text.slice(0, 500) }).catch(() => {});
	}

	/** Writes what a failed write left over; one write at a time, in order. */
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

	onProgress(progress: CopyProgress): void {
		Object.assign(this.#live, progress);
		this.tell();
	}

	/** The repository does not answer (a sentence), or answers again (null). */
	setWaiting(waitingFor: string | null): void {
		if (this.#live.waitingFor === waitingFor) return;
		const isNews = (this.#live.waitingFor === null) !== (waitingFor === null);
		this.#live.waitingFor = waitingFor;
		if (isNews) this.remark(waitingFor ?? "the repository answers again");
		this.tell();
	}

	report(): BackupReport {
		this.#generation += 1;
		return backupReport(this.#journal, this.#live, this.#generation);
	}

	tell(): void {
		this.ports.publish(this.report());
	}

	/** What the plan says; empty before it is made. */
	plan(): readonly PlannedVolume[] {
		const entry = this.#journal.find(({ type }) => type === "planned");
		return entry?.type === "planned" ? entry.volumes : [];
	}

	/** @throws {SternaError} `internal` when the phases are out of order. */
	needSnapshot(): TakenSnapshot {
		if (!this.snapshot) throw new SternaError("internal", "no instant of the guest is open");
		return this.snapshot;
	}
}
