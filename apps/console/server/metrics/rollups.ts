import { and, asc, eq, gte, lt } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";

const minuteMs = 60_000;
const keptMs = 7 * 86_400_000;

/** A sample whose numbers can be averaged; nulls stay null when none of the minute had a value. */
type Sample = Record<string, string | number | null>;

interface Minute {
	minute: number;
	sums: Map<string, { sum: number; count: number }>;
	last: Sample;
}

/** One averaged sample a minute of every host and guest, for the time that agents have forgotten or are away. */
export class Rollups {
	readonly #core: Core;
	readonly #open = new Map<string, Minute>();
	#prunedAt = 0;

	constructor(core: Core) {
		this.#core = core;
	}

	/** Adds a sample of the object; writes the minute before when a new one begins. */
	add(objectId: string, sample: Sample): void {
		const minute = Math.floor(this.#core.now() / minuteMs) * minuteMs;
		const open = this.#open.get(objectId);
		if (open && open.minute !== minute) this.#write(objectId, open);
		const current = open?.minute === minute ? open : { minute, sums: new Map(), last: sample };
		for (const [key, value] of Object.entries(sample)) {
			if (typeof value !== "number" || key === "at") continue;
			const { sum, count } = current.sums.get(key) ?? { sum: 0, count: 0 };
			current.sums.set(key, { sum: sum + value, count: count + 1 });
		}
		current.last = sample;
		this.#open.set(objectId, current);
	}

	/** The object's minutes since a time, oldest first; at most a day of them. */
	async since(objectId: string, since: number): Promise<unknown[]> {
		const rows = await this.#core.db
			.select()
			.from(tables.metricRollups)
			.where(and(eq(tables.metricRollups.objectId, objectId), gte(tables.metricRollups.minute, since)))
			.orderBy(asc(tables.metricRollups.minute))
			.limit(1440);
		return rows.map((row) => row.sample);
	}

	async flush(): Promise<void> {
		const open = [...this.#open];
		this.#open.clear();
		for (const [objectId, minute] of open) await this.#insert(objectId, minute);
	}

	#write(objectId: string, minute: Minute): void {
		void this.#insert(objectId, minute).catch((err) => this.#core.log.warn({ err }, "minute of metrics not written"));
	}

	async #insert(objectId: string, { minute, sums, last }: Minute): Promise<void> {
		const { db, now } = this.#core;
		const averages = [...sums].map(([key, { sum, count }]) => {
			const average = sum / count;
			return [key, Number.isInteger(last[key]) ? Math.round(average) : average];
		});
		const sample = { ...last, ...Object.fromEntries(averages), at: minute };
		await db.insert(tables.metricRollups).values({ objectId, minute, sample }).onConflictDoNothing();
		if (now() - this.#prunedAt < 60 * minuteMs) return;
		this.#prunedAt = now();
		await db.delete(tables.metricRollups).where(lt(tables.metricRollups.minute, now() - keptMs));
	}
}
