import type { Severity } from "@sterna/shared/health";
import { and, asc, desc, eq, gt, ilike, like, lt, type SQL, sql } from "drizzle-orm";
import { z } from "zod";
import type { Changes } from "../changes.ts";
import type { Database, Transaction } from "../db/database.ts";
import { events } from "../db/schema.ts";
import type { EventObject, EventView } from "../views-events.ts";
import { chainStart, genesisHash, hashEvent, walkChain } from "./chain.ts";

export interface NewEvent {
	/** noun.past: `guest.started`. */
	kind: string;
	/** A person's name, `health policy`, `console`. */
	actor: string;
	objects: EventObject[];
	sentence: string;
	why?: string | null;
	/** Plain JSON: the readings, the rule, the alternatives that lost. */
	evidence?: unknown;
	severity?: Severity | null;
}

export interface EventFilter {
	objectId?: string | undefined;
	actor?: string | undefined;
	kind?: string | undefined;
	filter: string;
	before?: number | undefined;
	limit: number;
}

/** Who did what, when, why: append-only, each event chained to the one before by its hash. */
export class EventLog {
	readonly #db: Database;
	readonly #changes: Changes;
	readonly #now: () => number;

	constructor(db: Database, changes: Changes, now: () => number = Date.now) {
		this.#db = db;
		this.#changes = changes;
		this.#now = now;
	}

	/** Writes the event. Inside `transaction` it stands or falls with the change that it tells of. */
	async append(event: NewEvent, transaction?: Transaction): Promise<void> {
		const write = async (tx: Transaction) => {
			// One writer at a time, or two events would follow the same one.
			await tx.execute(sql`select pg_advisory_xact_lock(7319042612)`);
			const [last] = await tx
				.select({ sequence: events.sequence, hash: events.hash })
				.from(events)
				.orderBy(desc(events.sequence))
				.limit(1);
			const row = {
				sequence: (last?.sequence ?? 0) + 1,
				at: this.#now(),
				kind: event.kind,
				actor: event.actor,
				objects: event.objects,
				sentence: event.sentence,
				why: event.why ?? null,
				// What the database keeps is JSON: hash that, not what JSON drops.
				evidence: event.evidence === undefined ? null : JSON.parse(JSON.stringify(event.evidence)),
				severity: event.severity ?? null,
				previousHash: last?.hash ?? genesisHash,
			};
			await tx.insert(events).values({ ...row, hash: hashEvent(row) });
		};
		await (transaction ? write(transaction) : this.#db.transaction(write));
		this.#changes.touch("events", "overview");
	}

	/** Newest first. */
	async list(filter: EventFilter): Promise<{ rows: EventView[]; nextBefore: number | null }> {
		const rows = await this.#db
			.select()
			.from(events)
			.where(
				and(
					filter.objectId ? sql`${events.objects} @> ${JSON.stringify([{ id: filter.objectId }])}::jsonb` : undefined,
					filter.actor ? eq(events.actor, filter.actor) : undefined,
					filter.kind
						? filter.kind.includes(".")
							? eq(events.kind, filter.kind)
							: like(events.kind, `${escapeLike(filter.kind)}.%`)
						: undefined,
					filter.filter ? ilike(events.sentence, `%${escapeLike(filter.filter)}%`) : undefined,
					filter.before ? lt(events.sequence, filter.before) : undefined,
				),
			)
			.orderBy(desc(events.sequence))
			.limit(filter.limit + 1);
		const page = rows.slice(0, filter.limit).map(viewOf);
		return { rows: page, nextBefore: rows.length > filter.limit ? (page.at(-1)?.sequence ?? null) : null };
	}

	async get(sequence: number): Promise<EventView | null> {
		const [row] = await this.#db.select().from(events).where(eq(events.sequence, sequence));
		return row ? viewOf(row) : null;
	}

	/** Who acted and what happened, each once: the first of the alphabet where there are too many. */
	async facets(): Promise<{ actors: string[]; kinds: string[] }> {
		const valuesOf = async (column: "actor" | "kind") =>
			z.array(z.object({ value: z.string() })).parse((await this.#db.execute(distinctValues(column))).rows);
		const [actors, kinds] = await Promise.all([valuesOf("actor"), valuesOf("kind")]);
		return { actors: actors.map(({ value }) => value), kinds: kinds.map(({ value }) => value) };
	}

	/** Computes every hash anew, a thousand events at a time. */
	async verify(): Promise<{ events: number; brokenAt: number | null }> {
		let walk = chainStart;
		for (;;) {
			const rows = await this.#db
				.select()
				.from(events)
				.where(gt(events.sequence, walk.sequence))
				.orderBy(asc(events.sequence))
				.limit(1000);
			if (rows.length === 0) return { events: walk.sequence, brokenAt: null };
			const result = walkChain(walk, rows);
			if ("brokenAt" in result) return { events: walk.sequence, brokenAt: result.brokenAt };
			walk = result.walk;
		}
	}
}

const maxFacets = 200;

/**
 * The values of a column, each once: the least, then again and again the least above it, one look into the column's index
 * for each. `select distinct` would read the whole log, which grows for ever ("loose index scan" of PostgreSQL's wiki).
 */
export function distinctValues(column: "actor" | "kind"): SQL {
	const name = sql.identifier(column);
	return sql`
		with recursive found as (
			(select ${name} as value, 1 as number from events order by ${name} limit 1)
			union all
			select (select ${name} from events where ${name} > found.value order by ${name} limit 1), number + 1
			from found where found.value is not null and number < ${maxFacets}
		)
		select value from found where value is not null order by number`;
}

/** `text` as itself inside a LIKE pattern. */
export function escapeLike(text: string): string {
	return text.replace(/[\\%_]/g, "\\$&");
}

function viewOf({ previousHash: _, ...row }: typeof events.$inferSelect): EventView {
	return { ...row, evidence: (row.evidence ?? null) as EventView["evidence"] };
}
