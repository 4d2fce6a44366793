import type { RestoreMode, TaskState } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId, PointId } from "@sterna/shared/ids";
import { and, asc, count, desc, eq, ilike, inArray, or, sql } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { escapeLike } from "../events/log.ts";
import type { RestorePlan, RestoreRow, RestoreView } from "../views-backups.ts";
import type { Backups } from "./backups.ts";
import type { PointEntry } from "./catalogue.ts";
import { refuseGiveUp, targetState } from "./give-up.ts";
import { pointRows } from "./present-points.ts";
import { remainingAt, shareOf } from "./present-runs.ts";
import { refuseCancel } from "./restore-end.ts";
import type { PlannedRestore } from "./restore-plan.ts";
import type { RestoreEntry } from "./restores.ts";

const measuredRestores = 20;

export interface RestoreListRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
	filter: string;
	sort: "startedAt" | "guest" | "state";
	guestId?: GuestId | undefined;
	pointId?: PointId | undefined;
	mode?: RestoreMode[] | undefined;
	state?: TaskState[] | undefined;
}

export async function listRestores(
	core: Core,
	backups: Backups,
	request: RestoreListRequest,
): Promise<{ rows: RestoreRow[]; total: number }> {
	const { restores } = tables;
	const { guestId, filter } = request;
	const where = and(
		filter
			? or(ilike(restores.guestName, `%${escapeLike(filter)}%`), ilike(restores.targetName, `%${escapeLike(filter)}%`))
			: undefined,
		guestId ? or(eq(restores.guestId, guestId), eq(restores.targetGuestId, guestId)) : undefined,
		request.pointId ? eq(restores.pointId, request.pointId) : undefined,
		request.mode ? inArray(restores.mode, request.mode) : undefined,
		request.state ? inArray(restores.state, request.state) : undefined,
	);
	const order = request.direction === "ascending" ? asc : desc;
	const column = { startedAt: restores.startedAt, guest: restores.guestName, state: restores.state }[request.sort];
	const [found] = await core.db.select({ total: count() }).from(restores).where(where);
	const rows = await core.db
		.select()
		.from(restores)
		.where(where)
		.orderBy(sql`${order(column)}`, desc(restores.startedAt), asc(restores.id))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return { rows: rows.map((row) => restoreRow(core, backups, row)), total: found?.total ?? 0 };
}

export function restoreRow({ inventory }: Core, { clock }: Backups, restore: RestoreEntry): RestoreRow {
	const { id, mode, guestId, targetGuestId, hostId, pointId, pointTakenAt, state, report, startedAt, endedAt } =
		restore;
	const nameOf = (guest: GuestId, former: string) => ({ id: guest, name: inventory.guests.get(guest)?.name ?? former });
	const progress = state === "completed" ? 1 : shareOf(report?.copiedBytes ?? 0, report?.totalBytes ?? 0);
	return {
		...{ id, mode, guest: nameOf(guestId, restore.guestName), target: nameOf(targetGuestId, restore.targetName) },
		targetKind: restore.targetKind,
		host: { id: hostId, name: inventory.hostName(hostId) },
		...{ pointId, pointTakenAt, state, phase: report?.phase ?? null, progress },
		remainingMs: endedAt === null ? remainingAt(progress, clock.now() - startedAt) : null,
		...{
			startedAt,
			endedAt,
			bootedAfterMs: report?.bootedAfterMs ?? null,
			provedAfterMs: report?.provedAfterMs ?? null,
		},
		...{
			hasScreenshot: report?.hasScreenshot ?? false,
			errorMessage: restore.error?.message ?? null,
			requestedBy: restore.requestedBy,
		},
	};
}

export function restoreView(core: Core, backups: Backups, restore: RestoreEntry): RestoreView {
	return {
		...restoreRow(core, backups, restore),
		report: restore.report,
		check: restore.check,
		cancelRefusal: refuseCancel(restore),
		giveUpRefusal: refuseGiveUp(restore, targetState(core, restore)),
	};
}

export async function restorePlanView(
	core: Core,
	backups: Backups,
	{ point, planned }: { point: PointEntry; planned: PlannedRestore },
): Promise<RestorePlan> {
	const [row] = await pointRows(core, backups, [point]);
	if (!row) throw new SternaError("internal", "the point has no row");
	const { spec, hosts, steps, refusals, copyBytes, undo } = planned;
	const bytesPerSecond = await measuredPace(core, point);
	return {
		...{ point: row, spec, hosts, steps, refusals, copyBytes, undo },
		predictedDurationMs: bytesPerSecond === null ? null : (copyBytes / bytesPerSecond) * 1000,
	};
}

/** Bytes a second of the last restores from this repository that ended well; null before the first. */
async function measuredPace({ db }: Core, point: PointEntry): Promise<number | null> {
	const { restores } = tables;
	const rows = await db
		.select({ report: restores.report })
		.from(restores)
		.where(
			and(
				eq(restores.repositoryId, point.repositoryId),
				eq(restores.state, "completed"),
				inArray(restores.mode, ["copy", "instant"]),
			),
		)
		.orderBy(desc(restores.startedAt))
		.limit(measuredRestores);
	let bytes = 0;
	let durationMs = 0;
	for (const { report } of rows) {
		if (!report?.endedAt) continue;
		bytes += report.copiedBytes;
		durationMs += report.endedAt - report.startedAt;
	}
	return bytes > 0 && durationMs > 0 ? (bytes * 1000) / durationMs : null;
}
