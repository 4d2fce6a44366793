import { SternaError } from "@sterna/shared/errors";
import type { GuestId, PointId, RepositoryId } from "@sterna/shared/ids";
import { and, asc, count, desc, eq, gte, ilike, inArray, isNull, lt, sql } from "drizzle-orm";
import type { z } from "zod";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { escapeLike } from "../events/log.ts";
import type { PointCalendar, PointRow, PointView } from "../views-backups.ts";
import type { Backups } from "./backups.ts";
import type { PointEntry } from "./catalogue.ts";

export interface PointListRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
	filter: string;
	sort: "takenAt" | "guest" | "stored";
	guestId?: GuestId | undefined;
	repositoryId?: RepositoryId | undefined;
}

export async function listPoints(
	core: Core,
	backups: Backups,
	request: PointListRequest,
): Promise<{ rows: PointRow[]; total: number }> {
	const { recoveryPoints: points } = tables;
	const where = and(
		isNull(points.prunedAt),
		request.filter ? ilike(points.guestName, `%${escapeLike(request.filter)}%`) : undefined,
		request.guestId ? eq(points.guestId, request.guestId) : undefined,
		request.repositoryId ? eq(points.repositoryId, request.repositoryId) : undefined,
	);
	const order = request.direction === "ascending" ? asc : desc;
	const column = { takenAt: points.takenAt, guest: points.guestName, stored: points.storedBytes }[request.sort];
	const [found] = await core.db.select({ total: count() }).from(points).where(where);
	const rows = await core.db
		.select()
		.from(points)
		.where(where)
		.orderBy(sql`${order(column)}`, desc(points.takenAt), asc(points.id))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return { rows: await pointRows(core, backups, rows), total: found?.total ?? 0 };
}

export async function pointRows(
	core: Core,
	{ repositories, jobs }: Backups,
	points: readonly PointEntry[],
): Promise<PointRow[]> {
	const proofs = await proofsOf(core, points);
	return points.map((point) => {
		const { id, guestId, repositoryId, takenAt, manifest, sizeBytes, storedBytes, protectedBy, damage } = point;
		const job = jobs.find(point.jobId);
		return {
			id,
			guest: { id: guestId, name: core.inventory.guests.get(guestId)?.name ?? point.guestName },
			repository: { id: repositoryId, name: repositories.nameOf(repositoryId) },
			job: job && { id: job.id, name: job.name },
			...{ takenAt, consistency: manifest.consistency, consistencyRemark: manifest.consistencyRemark },
			...{ sizeBytes, storedBytes, volumes: manifest.volumes, protectedBy, damage, proof: proofs.get(id) ?? null },
		};
	});
}

export async function pointView(core: Core, backups: Backups, point: PointEntry): Promise<PointView> {
	const [row] = await pointRows(core, backups, [point]);
	if (!row) throw new SternaError("internal", "the point has no row");
	const { spec, hostId, parentPointId } = point.manifest;
	return { ...row, spec, host: { id: hostId, name: core.inventory.hostName(hostId) }, parentPointId };
}

/** A guest's points of one month by day, as the clocks of the time zone have it, with the runs that made none. */
export async function calendarOf(
	core: Core,
	backups: Backups,
	{ guestId, month, timeZone }: { guestId: GuestId; month: string; timeZone: string },
): Promise<z.infer<typeof PointCalendar>> {
	const { recoveryPoints: points, backupRuns: runs } = tables;
	const [year = 0, monthOfYear = 1] = month.split("-").map(Number);
	// A day more on either side: no time zone is further from UTC.
	const from = Date.UTC(year, monthOfYear - 1, 0);
	const to = Date.UTC(year, monthOfYear, 2);
	const found = await core.db
		.select()
		.from(points)
		.where(and(eq(points.guestId, guestId), isNull(points.prunedAt), gte(points.takenAt, from), lt(points.takenAt, to)))
		.orderBy(asc(points.takenAt));
	const failed = await core.db
		.select({ dueAt: runs.dueAt, state: runs.state })
		.from(runs)
		.where(
			and(
				eq(runs.guestId, guestId),
				inArray(runs.state, ["failed", "missed"]),
				gte(runs.dueAt, from),
				lt(runs.dueAt, to),
			),
		);
	const format = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
	const byDay = Map.groupBy(await pointRows(core, backups, found), ({ takenAt }) => format.format(takenAt));
	const daysInMonth = new Date(Date.UTC(year, monthOfYear, 0)).getUTCDate();
	const days = Array.from({ length: daysInMonth }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`);
	const count = (day: string, state: string) =>
		failed.filter((run) => run.state === state && format.format(run.dueAt) === day).length;
	return {
		days: days.map((day) => ({
			day,
			points: byDay.get(day) ?? [],
			failedRuns: count(day, "failed"),
			missedRuns: count(day, "missed"),
		})),
	};
}

/** The last drill of each point that has ended. */
async function proofsOf(
	{ db }: Core,
	points: readonly PointEntry[],
): Promise<Map<PointId, NonNullable<PointRow["proof"]>>> {
	if (points.length === 0) return new Map();
	const { restores } = tables;
	const ids = points.map(({ id }) => id);
	const drills = await db
		.selectDistinctOn([restores.pointId])
		.from(restores)
		.where(
			and(eq(restores.mode, "drill"), inArray(restores.pointId, ids), inArray(restores.state, ["completed", "failed"])),
		)
		.orderBy(restores.pointId, desc(restores.startedAt));
	return new Map(
		drills.map((drill) => [
			drill.pointId,
			{
				...{ at: drill.endedAt ?? drill.startedAt, ok: drill.state === "completed" },
				...{ provedAfterMs: drill.report?.provedAfterMs ?? null, restoreId: drill.id },
			},
		]),
	);
}
