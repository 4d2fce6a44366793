import type { GuestMetrics } from "@sterna/shared/guest";
import type { HostMetrics } from "@sterna/shared/host";
import type { MigrationView } from "./views-migrations.ts";

/** What happened to a topic: ask again, or take the data that came along. */
export type Notice =
	| { type: "changed"; topic: string }
	| { type: "migration"; topic: string; migration: MigrationView }
	| { type: "hostMetrics"; topic: string; sample: HostMetrics }
	| { type: "guestMetrics"; topic: string; sample: GuestMetrics }
	| { type: "missed" };

interface Numbered {
	id: number;
	notice: Exclude<Notice, { type: "missed" }>;
}

interface Listener {
	topics: ReadonlySet<string>;
	wake(): void;
}

/** How many notices are kept for pages that reconnect. */
const kept = 2000;
/** `changed` of one topic is told at most this often; the last one always is. */
const quietMs = 300;

/**
 * Tells pages what changed. Notices are numbered in one row; a page that reconnects names the last one it saw and gets
 * what it missed of its topics, or `missed` when that is too long ago or was another run of the console.
 */
export class Changes {
	readonly #run = crypto.randomUUID().slice(0, 8);
	readonly #listeners = new Set<Listener>();
	readonly #quiet = new Map<string, { again: boolean; timer: NodeJS.Timeout }>();
	#row: Numbered[] = [];
	#nextId = 1;

	/** Says that these topics changed. Many times in a row become a few. */
	touch(...topics: string[]): void {
		for (const topic of topics) {
			const quiet = this.#quiet.get(topic);
			if (quiet) quiet.again = true;
			else this.#tellAndRest(topic);
		}
	}

	/** Tells `notice` at once. */
	publish(notice: Exclude<Notice, { type: "missed" }>): void {
		this.#row.push({ id: this.#nextId++, notice });
		if (this.#row.length > kept * 2) this.#row = this.#row.slice(-kept);
		for (const listener of this.#listeners) if (listener.topics.has(notice.topic)) listener.wake();
	}

	/** Whether anyone looks at this topic: spares the work of data that nobody sees. */
	isWatched(topic: string): boolean {
		for (const listener of this.#listeners) if (listener.topics.has(topic)) return true;
		return false;
	}

	/** What happens to `topics` from behind `after` on, until `signal` aborts. */
	async *watch(
		topics: ReadonlySet<string>,
		after: string | null,
		signal: AbortSignal,
	): AsyncGenerator<{ id: string; notice: Notice }> {
		let woken = Promise.withResolvers<void>();
		const listener: Listener = { topics, wake: () => woken.resolve() };
		this.#listeners.add(listener);
		const onAbort = () => woken.resolve();
		signal.addEventListener("abort", onAbort, { once: true });
		try {
			let seen = this.#placeOf(after);
			if (seen === null) {
				seen = this.#nextId - 1;
				yield { id: this.#idOf(seen), notice: { type: "missed" } };
			}
			while (!signal.aborted) {
				woken = Promise.withResolvers<void>();
				const oldest = this.#row[0]?.id ?? this.#nextId;
				if (seen + 1 < oldest) {
					seen = this.#nextId - 1;
					yield { id: this.#idOf(seen), notice: { type: "missed" } };
				}
				const news = this.#row.slice(Math.max(0, seen + 1 - (this.#row[0]?.id ?? seen + 1)));
				seen = this.#nextId - 1;
				for (const { id, notice } of news) {
					if (topics.has(notice.topic)) yield { id: this.#idOf(id), notice };
				}
				if (seen === this.#nextId - 1) await woken.promise;
			}
		} finally {
			signal.removeEventListener("abort", onAbort);
			this.#listeners.delete(listener);
		}
	}

	/** Fulfilled when one of `topics` changes, after `timeoutMs`, or when `signal` aborts: look again then. */
	once(topics: ReadonlySet<string>, timeoutMs: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const listener: Listener = { topics, wake: () => settle() };
			const settle = () => {
				clearTimeout(timer);
				signal.removeEventListener("abort", settle);
				this.#listeners.delete(listener);
				resolve();
			};
			const timer = setTimeout(settle, timeoutMs);
			signal.addEventListener("abort", settle, { once: true });
			this.#listeners.add(listener);
			if (signal.aborted) settle();
		});
	}

	close(): void {
		for (const { timer } of this.#quiet.values()) clearTimeout(timer);
		this.#quiet.clear();
	}

	#tellAndRest(topic: string): void {
		this.publish({ type: "changed", topic });
		const timer = setTimeout(() => {
			const again = this.#quiet.get(topic)?.again;
			this.#quiet.delete(topic);
			if (again) this.#tellAndRest(topic);
		}, quietMs);
		timer.unref();
		this.#quiet.set(topic, { again: false, timer });
	}

	/** The number behind which a page wants to go on; null when that place is not known any more. */
	#placeOf(after: string | null): number | null {
		if (after === null) return this.#nextId - 1;
		const [run, id] = after.split(".");
		const place = Number(id);
		if (run !== this.#run || !Number.isSafeInteger(place) || place >= this.#nextId) return null;
		const oldest = this.#row[0]?.id ?? this.#nextId;
		return place + 1 >= oldest ? place : null;
	}

	#idOf(id: number): string {
		return `${this.#run}.${id}`;
	}
}
