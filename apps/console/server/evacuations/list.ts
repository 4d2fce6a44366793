import { SternaError } from "@sterna/shared/errors";
import type { EvacuationId, HostId } from "@sterna/shared/ids";
import { and, asc, count, desc, eq, inArray } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { EvacuationEntry } from "../inventory/inventory.ts";
import { evacuationRows } from "../present/evacuations.ts";
import { matches } from "../present/paging.ts";
import type { EvacuationRow, EvacuationState } from "../views-migrations.ts";

/** @throws {SternaError} `not_found`. */
export async function findEvacuation({ db }: Core, evacuationId: EvacuationId): Promise<EvacuationEntry> {
	const [row] = await db.select().from(tables.evacuations).where(eq(tables.evacuations.id, evacuationId));
	if (!row) throw new SternaError("not_found", `there is no evacuation ${evacuationId}`);
	return row;
}

export async function listEvacuations(
	core: Core,
	request: {
		page: number;
		pageSize: number;
		direction: "ascending" | "descending";
		filter: string;
		state?: EvacuationState[] | undefined;
		hostId?: HostId | undefined;
	},
): Promise<{ rows: EvacuationRow[]; total: number }> {
	const { db, inventory } = core;
	const named = [...inventory.hosts.values()]
		.filter((host) => matches(request.filter, host.name))
		.map((host) => host.id);
	const where = and(
		request.filter ? inArray(tables.evacuations.hostId, named) : undefined,
		request.state ? inArray(tables.evacuations.state, request.state) : undefined,
		request.hostId ? eq(tables.evacuations.hostId, request.hostId) : undefined,
	);
	const [found] = await db.select({ total: count() }).from(tables.evacuations).where(where);
	const order = request.direction === "ascending" ? asc : desc;
	const rows = await db
		.select()
		.from(tables.evacuations)
		.where(where)
		.orderBy(order(tables.evacuations.startedAt), asc(tables.evacuations.id))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return { rows: await evacuationRows(core, rows), total: found?.total ?? 0 };
}
