import { type RestorePhase, RestorePhase as RestorePhases, type RestoreReport } from "@sterna/shared/backup";
import type { SternaError } from "@sterna/shared/errors";
import type { RestoreEntry, RestoreFacts } from "./journal.ts";

type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, "at"> : never;
/** A journal entry to be. */
export type Happening = WithoutTime<RestoreEntry>;

const toldLines = 100;

/** One restore under way: its facts, its journal, and how far it is. */
export class RestoreTask {
	readonly facts: RestoreFacts;
	readonly cancel = new AbortController();
	totalBytes = 0;
	copiedBytes = 0;
	readonly #journal: RestoreEntry[];
	readonly #append: (entry: RestoreEntry) => Promise<void>;
	readonly #publish: (report: RestoreReport) => void;
	readonly #now: () => number;
	#waitingFor: string | null = null;
	#generation = 0;

	constructor(options: {
		facts: RestoreFacts;
		journal?: readonly RestoreEntry[];
		append: (entry: RestoreEntry) => Promise<void>;
		publish: (report: RestoreReport) => void;
		now: () => number;
	}) {
		this.facts = options.facts;
		this.#journal = [...(options.journal ?? [])];
		this.#append = options.append;
		this.#publish = options.publish;
		this.#now = options.now;
	}

	/** Writes an entry durably and tells everyone. */
	async note(happening: Happening): Promise<void> {
		const entry: RestoreEntry = { at: this.#now(), ...happening };
		await this.#append(entry);
		this.#journal.push(entry);
		this.tell();
	}

	async begin(phase: RestorePhase): Promise<void> {
		await this.note({ type: "phaseBegan", phase });
	}

	async undoing(error: SternaError): Promise<void> {
		if (this.has("undoing")) return;
		await this.note({ type: "undoing", cancelled: error.code === "cancelled", error: error.toWire() });
	}

	/** A note whose writing nobody waits for. */
	remark(text: string): void {
		this.note({ type: "note", text: text.slice(0, 500) }).catch(() => {});
	}

	/** The repository does not answer (a sentence), or answers again (null). */
	setWaiting(waitingFor: string | null): void {
		if ((this.#waitingFor === null) !== (waitingFor === null))
			this.remark(waitingFor ?? "the repository answers again");
		this.#waitingFor = waitingFor;
		this.tell();
	}

	has(type: RestoreEntry["type"]): boolean {
		return this.#journal.some((entry) => entry.type === type);
	}

	/** Its guest may have run from the restored volumes: what it wrote since is nowhere else. */
	get mayHaveRun(): boolean {
		const last = this.#journal.findLast(({ type }) => type === "booting" || type === "notBooted" || type === "booted");
		return last !== undefined && last.type !== "notBooted";
	}

	/** Its guest may have run, or has its volumes for good: nobody may undo it. A drill's guest is nobody's. */
	get onlyForward(): boolean {
		if (this.has("undoing")) return false;
		const { mode } = this.facts;
		return this.has("filled") || (mode === "copy" && this.has("placing")) || (mode === "instant" && this.mayHaveRun);
	}

	/** A person took it back; also when its undo is finished in a later life. */
	get wasCancelled(): boolean {
		return this.#journal.some((entry) => entry.type === "undoing" && entry.cancelled);
	}

	/** How it ended; null while it has not. */
	get ended(): RestoreReport["state"] | null {
		const entry = this.#journal.find(({ type }) => type === "ended");
		return entry?.type === "ended" ? entry.state : null;
	}

	get endedAt(): number | null {
		return this.#journal.find(({ type }) => type === "ended")?.at ?? null;
	}

	/** Milliseconds since it began. */
	get elapsedMs(): number {
		return Math.max(0, this.#now() - this.facts.startedAt);
	}

	tell(): void {
		this.#publish(this.report());
	}

	report(): RestoreReport {
		this.#generation += 1;
		const { restoreId, mode, pointId, repositoryId, guestId, hostId, startedAt } = this.facts;
		const journal = this.#journal;
		const phase = journal.findLast((entry) => entry.type === "phaseBegan");
		const undoing = journal.find((entry) => entry.type === "undoing");
		const running = this.has("undoing") ? "undoing" : this.#waitingFor === null ? "running" : "waiting";
		return {
			restoreId,
			mode,
			pointId,
			repositoryId,
			guestId,
			hostId,
			generation: this.#generation,
			state: this.ended ?? running,
			phase: phase?.type === "phaseBegan" ? phase.phase : RestorePhases.enum.prepare,
			startedAt,
			endedAt: this.endedAt,
			totalBytes: this.totalBytes,
			copiedBytes: this.copiedBytes,
			bootedAfterMs: this.#after("booted"),
			provedAfterMs: this.#after("proved"),
			hasScreenshot: this.has("pictured"),
			givenUp: this.has("givenUp"),
			error: undoing?.type === "undoing" ? undoing.error : null,
			journal: journal.slice(-toldLines).flatMap((entry) => {
				const text = sentence(entry);
				return text === null ? [] : [{ at: entry.at, text: text.slice(0, 500) }];
			}),
		};
	}

	#after(type: "booted" | "proved"): number | null {
		const entry = this.#journal.find((one) => one.type === type);
		return entry && "afterMs" in entry ? entry.afterMs : null;
	}
}

const begins: Record<RestorePhase, string> = {
	prepare: "looks at the point and at what it is to become",
	copyBlocks: "copies the volumes",
	boot: "starts the guest",
	stream: "fills the volumes while the guest runs",
	prove: "waits for a sign that the guest works",
	finish: "puts everything into its place",
};

function sentence(entry: RestoreEntry): string | null {
	switch (entry.type) {
		case "opened":
			return "the restore began";
		case "phaseBegan":
			return begins[entry.phase];
		case "placing":
			return "the restored volumes take their place";
		case "notBooted":
			return "the guest did not start: its volumes hold nothing yet";
		case "booted":
			return `the guest runs after ${Math.round(entry.afterMs)} ms`;
		case "proved":
			return `the guest works after ${Math.round(entry.afterMs)} ms`;
		case "filled":
			return "everything is here; the repository is not needed any more";
		case "givenUp":
			return "a person stopped trying: the disks stay half filled, and nothing is deleted";
		case "undoing":
			return entry.cancelled ? "is cancelled" : `failed: ${entry.error.message}`;
		case "ended":
			return entry.state;
		case "note":
			return entry.text;
		case "booting":
		case "pictured":
			return null;
	}
}
