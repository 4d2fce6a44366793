import { asc, eq, inArray } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { planMaintenance } from "../hosts/maintenance.ts";
import type { EvacuationEntry, Inventory } from "../inventory/inventory.ts";
import { progressOf } from "../migrations/present.ts";
import type { EvacuationRow, EvacuationView } from "../views-migrations.ts";

type ItemRow = typeof tables.evacuationItems.$inferSelect;

/** Rows of these evacuations, with their guests counted. */
export async function evacuationRows(core: Core, entries: readonly EvacuationEntry[]): Promise<EvacuationRow[]> {
	if (entries.length === 0) return [];
	const ids = entries.map((entry) => entry.id);
	const items = await core.db
		.select()
		.from(tables.evacuationItems)
		.where(inArray(tables.evacuationItems.evacuationId, ids));
	return entries.map((entry) => {
		const own = items.filter((item) => item.evacuationId === entry.id);
		return rowOf(entry, own, core.inventory, core.now());
	});
}

export async function evacuationView(core: Core, entry: EvacuationEntry): Promise<EvacuationView> {
	const { db, inventory, now } = core;
	const items = await db
		.select()
		.from(tables.evacuationItems)
		.where(eq(tables.evacuationItems.evacuationId, entry.id))
		.orderBy(asc(tables.evacuationItems.position));
	return {
		...rowOf(entry, items, inventory, now()),
		items: items.map((item) => {
			const move = item.migrationId ? inventory.moves.get(item.migrationId) : undefined;
			return {
				guest: { id: item.guestId, name: item.guestName },
				position: item.position,
				state: item.state,
				target: item.targetHostId && { id: item.targetHostId, name: inventory.hostName(item.targetHostId) },
				migrationId: item.migrationId,
				attempts: item.attempts,
				refusal:
					item.reason && item.state !== "moved" && item.state !== "skipped"
						? { code: "wrong_state", message: item.reason, ...(item.cure ? { cure: item.cure } : {}) }
						: null,
				measuredDowntimeMs: item.measuredDowntimeMs ?? move?.report?.measuredDowntimeMs ?? null,
				progress: item.state === "moved" ? 1 : progressOf(move?.report ?? null),
			};
		}),
	};
}

function rowOf(entry: EvacuationEntry, items: readonly ItemRow[], inventory: Inventory, now: number): EvacuationRow {
	const counted = items.filter((item) => item.state !== "skipped");
	return {
		id: entry.id,
		host: { id: entry.hostId, name: inventory.hostName(entry.hostId) },
		state: entry.state,
		reason: entry.reason,
		requestedBy: entry.requestedBy,
		startedAt: entry.startedAt,
		endedAt: entry.endedAt,
		moved: counted.filter((item) => item.state === "moved").length,
		total: counted.length,
		remainingMs: entry.endedAt === null ? planMaintenance(entry.hostId, inventory, now).predictedDurationMs : 0,
	};
}
