import { SternaError } from "@sterna/shared/errors";
import type { GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import type { MigrationState } from "@sterna/shared/migration";
import { and, asc, count, desc, eq, ilike, inArray, or, sql } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { escapeLike } from "../events/log.ts";
import type { MoveEntry } from "../inventory/inventory.ts";
import type { MigrationRow } from "../views-migrations.ts";
import { migrationRow } from "./present.ts";

export interface MigrationListRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
	filter: string;
	sort: "startedAt" | "guest" | "state" | "downtime";
	state?: MigrationState[] | undefined;
	guestId?: GuestId | undefined;
	hostId?: HostId | undefined;
}

/** The move as memory has it while it is remembered, from the database otherwise. @throws {SternaError} `not_found`. */
export async function findMove({ db, inventory }: Core, migrationId: MigrationId): Promise<MoveEntry> {
	const remembered = inventory.moves.get(migrationId);
	if (remembered) return remembered;
	const [row] = await db.select().from(tables.migrations).where(eq(tables.migrations.id, migrationId));
	if (!row) throw new SternaError("not_found", `there is no migration ${migrationId}`);
	return row;
}

export async function listMigrations(
	{ db, inventory, now }: Core,
	request: MigrationListRequest,
): Promise<{ rows: MigrationRow[]; total: number }> {
	const { migrations } = tables;
	const { hostId } = request;
	const where = and(
		request.filter ? ilike(migrations.guestName, `%${escapeLike(request.filter)}%`) : undefined,
		request.state ? inArray(migrations.state, request.state) : undefined,
		request.guestId ? eq(migrations.guestId, request.guestId) : undefined,
		hostId ? or(eq(migrations.sourceHostId, hostId), eq(migrations.targetHostId, hostId)) : undefined,
	);
	const column = {
		startedAt: sql`${migrations.startedAt}`,
		guest: sql`${migrations.guestName}`,
		state: sql`${migrations.state}`,
		downtime: sql`(${migrations.report}->>'measuredDowntimeMs')::float`,
	}[request.sort];
	const order = request.direction === "ascending" ? asc : desc;
	const [found] = await db.select({ total: count() }).from(migrations).where(where);
	const rows = await db
		.select()
		.from(migrations)
		.where(where)
		.orderBy(sql`${order(column)} nulls last`, desc(migrations.startedAt), asc(migrations.id))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return {
		rows: rows.map((row) => migrationRow(inventory.moves.get(row.id) ?? row, inventory, now())),
		total: found?.total ?? 0,
	};
}
