import { nextRun } from "@sterna/backup/schedule";
import { and, desc, eq } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { Protection } from "../views-backups.ts";
import type { ProtectionState } from "../views-guests.ts";
import type { Backups } from "./backups.ts";
import { pointRows } from "./present-points.ts";

const unknown = { state: "unprotected" as const, sentence: "not looked up yet", recoveryPointAgeMs: null };

export async function protectionOf(core: Core, backups: Backups, guest: GuestEntry): Promise<Protection> {
	const { catalogue, jobs, clock } = backups;
	const points = await catalogue.pointsOf(guest.id);
	const [newestPoint = null] = await pointRows(core, backups, points.slice(0, 1));
	const taking = jobs.jobsOf(guest);
	const times = taking.flatMap(({ spec }) => nextRun(spec.cron, spec.timeZone, clock.now()) ?? []);
	const { restores } = tables;
	const [proved] = await core.db
		.select()
		.from(restores)
		.where(and(eq(restores.mode, "drill"), eq(restores.guestId, guest.id), eq(restores.state, "completed")))
		.orderBy(desc(restores.startedAt))
		.limit(1);
	return {
		guest: { id: guest.id, name: guest.name },
		...(guest.protection ?? unknown),
		...{ newestPoint, points: points.length },
		measuredRecoveryMs: proved?.report?.provedAfterMs ?? null,
		measuredRecoveryAt: proved?.endedAt ?? null,
		jobs: taking.map(({ id, name }) => ({ id, name })),
		nextRunAt: times.length > 0 ? Math.min(...times) : null,
		tags: guest.tags,
	};
}

/** How much a guest's protection needs somebody. */
export function urgencyOf(guest: GuestEntry): number {
	const order: Record<ProtectionState, number> = { damaged: 5, late: 4, failing: 3, unprotected: 2, protected: 1 };
	return order[guest.protection?.state ?? "unprotected"];
}
