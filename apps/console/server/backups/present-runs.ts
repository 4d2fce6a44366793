import type { BackupJobId, GuestId, RepositoryId } from "@sterna/shared/ids";
import { and, asc, count, desc, eq, ilike, inArray, sql } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { escapeLike } from "../events/log.ts";
import type { RunRow, RunState, RunView } from "../views-backups.ts";
import type { Backups } from "./backups.ts";
import { refuseCancel } from "./run-rules.ts";
import type { RunEntry } from "./runs.ts";

export interface RunListRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
	filter: string;
	sort: "dueAt" | "guest" | "state";
	guestId?: GuestId | undefined;
	jobId?: BackupJobId | undefined;
	repositoryId?: RepositoryId | undefined;
	state?: RunState[] | undefined;
}

export async function listRuns(
	core: Core,
	backups: Backups,
	request: RunListRequest,
): Promise<{ rows: RunRow[]; total: number }> {
	const { backupRuns: runs } = tables;
	const where = and(
		request.filter ? ilike(runs.guestName, `%${escapeLike(request.filter)}%`) : undefined,
		request.guestId ? eq(runs.guestId, request.guestId) : undefined,
		request.jobId ? eq(runs.jobId, request.jobId) : undefined,
		request.repositoryId ? eq(runs.repositoryId, request.repositoryId) : undefined,
		request.state ? inArray(runs.state, request.state) : undefined,
	);
	const order = request.direction === "ascending" ? asc : desc;
	const column = { dueAt: runs.dueAt, guest: runs.guestName, state: runs.state }[request.sort];
	const [found] = await core.db.select({ total: count() }).from(runs).where(where);
	const rows = await core.db
		.select()
		.from(runs)
		.where(where)
		.orderBy(sql`${order(column)}`, desc(runs.dueAt), asc(runs.pointId))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return { rows: rows.map((row) => runRow(core, backups, row)), total: found?.total ?? 0 };
}

export function runRow({ inventory }: Core, { repositories, jobs, clock }: Backups, run: RunEntry): RunRow {
	const { report, pointId, guestId, repositoryId, hostId, state, dueAt, startedAt, endedAt, attempt, requestedBy } =
		run;
	const job = jobs.find(run.jobId);
	const progress = state === "completed" ? 1 : shareOf(report?.readBytes ?? 0, report?.totalBytes ?? 0);
	return {
		pointId,
		guest: { id: guestId, name: inventory.guests.get(guestId)?.name ?? run.guestName },
		host: hostId && { id: hostId, name: inventory.hostName(hostId) },
		repository: { id: repositoryId, name: repositories.nameOf(repositoryId) },
		job: job && { id: job.id, name: job.name },
		...{ state, waitsFor: state === "scheduled" ? run.waitsFor : null, phase: report?.phase ?? null, progress },
		remainingMs: endedAt === null && startedAt !== null ? remainingAt(progress, clock.now() - startedAt) : null,
		...{ dueAt, startedAt, endedAt, readBytes: report?.readBytes ?? 0, storedBytes: report?.storedBytes ?? 0, attempt },
		wholeReads: [
			...new Set((report?.volumes ?? []).filter(({ read }) => read === "whole").map(({ reason }) => reason)),
		],
		errorMessage: run.error?.message ?? null,
		requestedBy,
	};
}

export function runView(core: Core, backups: Backups, run: RunEntry): RunView {
	return { ...runRow(core, backups, run), report: run.report, cancelRefusal: refuseCancel(run) };
}

export function shareOf(done: number, total: number): number {
	return total <= 0 ? 0 : Math.min(1, done / total);
}

/** What is left at the pace so far; null before a hundredth is done. */
export function remainingAt(progress: number, elapsedMs: number): number | null {
	return progress < 0.01 || elapsedMs <= 0 ? null : Math.round((elapsedMs * (1 - progress)) / progress);
}
