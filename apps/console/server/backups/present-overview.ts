import { formatBytes, formatDuration } from "@sterna/shared/units";
import { and, desc, eq, gte } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { Decision, Task } from "../views-overview.ts";
import type { Backups } from "./backups.ts";
import { repositoryRow } from "./present-repositories.ts";
import { restoreRow } from "./present-restores.ts";
import { runRow, shareOf } from "./present-runs.ts";

/** A drill that failed needs somebody for this long, unless a later one of the guest went well. */
const failedDrillMs = 7 * 24 * 3_600_000;
const namedGuests = 5;

/** Backups, restores and upkeep under way. */
export function backupTasks(core: Core, backups: Backups): Task[] {
	const { runs, restores, upkeep, repositories } = backups;
	const left = (remainingMs: number | null) => (remainingMs === null ? "" : `${formatDuration(remainingMs)} left`);
	return [
		...restores.open().map((restore): Task => {
			const { remainingMs, progress, state } = restoreRow(core, backups, restore);
			const title =
				restore.mode === "drill" ? `Prove the backup of ${restore.guestName}` : `Restore ${restore.targetName}`;
			const detail =
				state === "waiting" ? "waits for the repository" : `${formatBytes(restore.report?.copiedBytes ?? 0)} are there`;
			return {
				id: restore.id,
				kind: "restore",
				title,
				amount: left(remainingMs),
				detail,
				progress,
				remainingMs,
				href: `/backups/restores/${restore.id}`,
			};
		}),
		...runs.active().map((run): Task => {
			const { remainingMs, progress, state, readBytes } = runRow(core, backups, run);
			const detail =
				state === "waiting"
					? "waits for the repository; the guest is not touched by that"
					: `${formatBytes(readBytes)} read`;
			const title = `Back up ${run.guestName}`;
			return {
				id: run.pointId,
				kind: "backup",
				title,
				amount: left(remainingMs),
				detail,
				progress,
				remainingMs,
				href: `/backups/runs/${run.pointId}`,
			};
		}),
		...upkeep.allOpen().map(({ id, kind, repositoryId, report }): Task => {
			const progress = shareOf(report?.doneBytes ?? 0, report?.totalBytes ?? 0);
			const title = `${kind === "scrub" ? "Scrub" : kind === "collect" ? "Collect" : "Canary of"} ${repositories.nameOf(repositoryId)}`;
			const detail = `${formatBytes(report?.doneBytes ?? 0)} read`;
			return {
				id,
				kind: "upkeep",
				title,
				amount: "",
				detail,
				progress,
				remainingMs: null,
				href: `/backups/repositories/${repositoryId}`,
			};
		}),
	];
}

/** What about backups only a person can decide, the worst first. */
export async function backupDecisions(core: Core, backups: Backups): Promise<Decision[]> {
	const decisions: Decision[] = [];
	for (const entry of backups.repositories.all()) {
		const { health, healthSentence } = await repositoryRow(core, backups, entry);
		const link = { label: "Repository", href: `/backups/repositories/${entry.id}` };
		const title = {
			damaged: `${entry.name} is damaged`,
			unreachable: `${entry.name} is out of reach`,
			full: `${entry.name} is full`,
			watch: entry.keyConfirmedAt === null ? `Write down the recovery key of ${entry.name}` : `Look at ${entry.name}`,
			healthy: null,
		}[health];
		if (title) decisions.push({ id: `repository/${entry.id}`, title, detail: healthSentence, link });
	}
	const guests = [...core.inventory.guests.values()].filter(({ existence }) => existence === "present");
	for (const state of ["damaged", "late"] as const) {
		const hit = guests.filter(({ protection }) => protection?.state === state);
		for (const guest of hit.slice(0, namedGuests)) {
			const link = { label: "Guest", href: `/guests/${guest.id}` };
			const title = state === "late" ? `The backup of ${guest.name} is late` : `The backup of ${guest.name} is damaged`;
			decisions.push({ id: `${state}/${guest.id}`, title, detail: guest.protection?.sentence ?? "", link });
		}
		if (hit.length > namedGuests) {
			const title = `${hit.length - namedGuests} more guests have ${state} backups`;
			decisions.push({
				id: `${state}/more`,
				title,
				detail: "see them all",
				link: { label: "Protection", href: `/backups?state=${state}` },
			});
		}
	}
	return [...decisions, ...(await failedDrills(core, backups))];
}

async function failedDrills({ db }: Core, { clock }: Backups): Promise<Decision[]> {
	const { restores } = tables;
	const drills = await db
		.selectDistinctOn([restores.guestId])
		.from(restores)
		.where(and(eq(restores.mode, "drill"), gte(restores.startedAt, clock.now() - failedDrillMs)))
		.orderBy(restores.guestId, desc(restores.startedAt));
	return drills
		.filter(({ state }) => state === "failed")
		.slice(0, namedGuests)
		.map(({ id, guestName, error }) => ({
			...{ id: `drill/${id}`, title: `The backup of ${guestName} could not be proved` },
			...{ detail: error?.message ?? "the drill failed", link: { label: "Drill", href: `/backups/restores/${id}` } },
		}));
}
