import type { SensorKind, Severity } from "@sterna/shared/health";
import type { HostId } from "@sterna/shared/ids";
import { and, asc, count, desc, eq, ilike, inArray, or, sql } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { escapeLike } from "../events/log.ts";
import { findingView } from "../present/hosts.ts";
import type { FindingView } from "../views-hosts.ts";

export interface FindingListRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
	filter: string;
	sort: "severity" | "lastSeenAt" | "host";
	state: ("open" | "cleared" | "released")[];
	severity?: Severity[] | undefined;
	sensor?: SensorKind[] | undefined;
	hostId?: HostId | undefined;
}

export async function listFindings(
	{ db, inventory }: Core,
	request: FindingListRequest,
): Promise<{ rows: FindingView[]; total: number }> {
	const { findings, hosts } = tables;
	const wanted = `%${escapeLike(request.filter)}%`;
	const where = and(
		inArray(findings.state, request.state),
		request.filter
			? or(
					ilike(hosts.name, wanted),
					ilike(sql`${findings.finding}->>'component'`, wanted),
					ilike(findings.key, wanted),
				)
			: undefined,
		request.severity ? inArray(findings.severity, request.severity) : undefined,
		request.sensor ? inArray(sql`${findings.finding}->>'sensor'`, request.sensor) : undefined,
		request.hostId ? eq(findings.hostId, request.hostId) : undefined,
	);
	const column = {
		severity: sql`case ${findings.severity} when 'watch' then 1 when 'degraded' then 2 else 3 end`,
		lastSeenAt: sql`(${findings.finding}->>'lastSeenAt')::bigint`,
		host: sql`${hosts.name}`,
	}[request.sort];
	const order = request.direction === "ascending" ? asc : desc;
	const joined = eq(hosts.id, findings.hostId);
	const [found] = await db.select({ total: count() }).from(findings).innerJoin(hosts, joined).where(where);
	const rows = await db
		.select({ finding: findings })
		.from(findings)
		.innerJoin(hosts, joined)
		.where(where)
		.orderBy(order(column), desc(findings.openedAt), asc(findings.id))
		.limit(request.pageSize)
		.offset((request.page - 1) * request.pageSize);
	return { rows: rows.map(({ finding }) => findingView(finding, inventory)), total: found?.total ?? 0 };
}
