import type { BackupJobSpec } from "@sterna/backup/job";
import { nextRun, nextRuns } from "@sterna/backup/schedule";
import { scheduleSentence } from "@sterna/backup/schedule-words";
import { selectionSentence } from "@sterna/backup/selection";
import type { BackupPlan, RepositoryPlace } from "@sterna/shared/backup";
import type { BackupJobId, HostId } from "@sterna/shared/ids";
import { and, desc, eq } from "drizzle-orm";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { JobPreview, JobRow, JobView } from "../views-backups.ts";
import type { Backups } from "./backups.ts";
import type { JobEntry } from "./jobs.ts";
import type { RunEntry } from "./runs.ts";

const planTimeoutMs = 10_000;
/** A job of thousands of guests is not asked of every agent before it is saved. */
const plannedGuests = 20;
const shownRuns = 5;

export async function jobRow(core: Core, backups: Backups, job: JobEntry): Promise<JobRow> {
	const { jobs, repositories, clock } = backups;
	const { spec } = job;
	const guests = jobs.guestsOf(job);
	return {
		...{ id: job.id, name: job.name, enabled: spec.enabled },
		repository: { id: spec.repositoryId, name: repositories.nameOf(spec.repositoryId) },
		selectionSentence: selectionSentence(spec.selection, guests.length),
		scheduleSentence: scheduleSentence(spec.cron, spec.timeZone),
		guests: guests.length,
		nextRunAt: spec.enabled ? nextRun(spec.cron, spec.timeZone, clock.now()) : null,
		lastRun: await lastRunOf(core, job),
		lateGuests: guests.filter(({ protection }) => protection?.state === "late").length,
	};
}

export async function jobView(core: Core, backups: Backups, job: JobEntry): Promise<JobView> {
	const { spec, createdAt, createdBy } = job;
	return { ...(await jobRow(core, backups, job)), spec, createdAt, createdBy };
}

/** What became of the guests that were due last, together. */
async function lastRunOf({ db }: Core, job: JobEntry): Promise<JobRow["lastRun"]> {
	const { backupRuns: runs } = tables;
	const [latest] = await db
		.select({ dueAt: runs.dueAt })
		.from(runs)
		.where(eq(runs.jobId, job.id))
		.orderBy(desc(runs.dueAt))
		.limit(1);
	if (!latest) return null;
	const rows = await db
		.select()
		.from(runs)
		.where(and(eq(runs.jobId, job.id), eq(runs.dueAt, latest.dueAt)));
	return { at: latest.dueAt, ...outcomeOf(rows) };
}

/** Of each guest the last attempt counts. */
export function outcomeOf(
	attempts: readonly Pick<RunEntry, "guestId" | "attempt" | "state" | "guestName" | "error">[],
): Omit<NonNullable<JobRow["lastRun"]>, "at"> {
	const last = new Map<string, (typeof attempts)[number]>();
	for (const run of attempts) {
		const known = last.get(run.guestId);
		if (!known || run.attempt >= known.attempt) last.set(run.guestId, run);
	}
	const ends = [...last.values()];
	const count = (...states: RunEntry["state"][]) => ends.filter(({ state }) => states.includes(state)).length;
	const open = count("scheduled", "running", "waiting", "undoing");
	const done = count("completed");
	if (open > 0) return { state: "running", sentence: `${done} of ${ends.length} done` };
	if (done === ends.length)
		return {
			state: "completed",
			sentence: ends.length === 1 ? "the guest was saved" : `all ${ends.length} guests were saved`,
		};
	const [first] = ends.filter(({ state }) => state !== "completed");
	const why = first?.error ? `; ${first.guestName}: ${first.error.message}` : "";
	if (done > 0) return { state: "partly", sentence: `${ends.length - done} of ${ends.length} were not saved${why}` };
	return count("missed") === ends.length
		? { state: "missed", sentence: `it could not begin in time${why}` }
		: {
				state: "failed",
				sentence: `${ends.length === 1 ? "the guest was" : "no guest was"} ${ends.length === 1 ? "not " : ""}saved${why}`,
			};
}

/** What the job would do, asked from those who would do it. */
export async function previewJob(
	core: Core,
	backups: Backups,
	hub: AgentHub,
	{ spec, id }: { spec: BackupJobSpec; id?: BackupJobId | undefined },
): Promise<JobPreview> {
	const { inventory } = core;
	const { jobs, repositories, clock, retention } = backups;
	repositories.get(spec.repositoryId);
	const former = id ? jobs.get(id) : null;
	const guests = jobs.guestsOf({ spec });
	const { removed, kept } = await retention.compare({ spec, id: former?.id ?? null });
	return {
		guests: guests.map((guest) => ({
			...{ id: guest.id, name: guest.name },
			host: { id: guest.grant.ownerHostId, name: inventory.hostName(guest.grant.ownerHostId) },
			diskBytes: guest.spec.volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
		})),
		nextRuns: nextRuns(spec.cron, spec.timeZone, clock.now(), shownRuns),
		warnings: warningsOf(core, backups, spec, guests, former),
		plans: await Promise.all(
			guests.slice(0, plannedGuests).map(async (guest) => ({
				guest: { id: guest.id, name: guest.name },
				plan: await planOf(backups, hub, spec, guest),
			})),
		),
		wouldRemove: removed.map((point) => ({
			guest: { id: point.guestId, name: point.guestName },
			pointId: point.id,
			takenAt: point.takenAt,
		})),
		wouldKeep: kept,
	};
}

async function planOf(
	{ repositories }: Backups,
	hub: AgentHub,
	spec: BackupJobSpec,
	guest: GuestEntry,
): Promise<BackupPlan | null> {
	const access = repositories.accessOf(repositories.get(spec.repositoryId));
	const options = { bytesPerSecond: spec.bytesPerSecond, freeze: spec.freeze };
	return hub
		.call(guest.grant.ownerHostId, "backup.plan", { access, guestId: guest.id, options }, { timeoutMs: planTimeoutMs })
		.catch(() => null);
}

/** What an admin should know before saving; nothing here forbids it. */
function warningsOf(
	core: Core,
	{ jobs, repositories, reach }: Backups,
	spec: BackupJobSpec,
	guests: readonly GuestEntry[],
	former: JobEntry | null,
): string[] {
	const { inventory } = core;
	const warnings: string[] = [];
	const repository = repositories.get(spec.repositoryId);
	if (repository.keyConfirmedAt === null)
		warnings.push(`the recovery key of ${repository.name} is not confirmed: jobs need that`);
	if (guests.length === 0) warnings.push("it takes no guest at the moment");
	for (const job of jobs.all()) {
		if (job.id === former?.id || !job.spec.enabled) continue;
		const both = jobs.guestsOf(job).filter(({ id }) => guests.some((guest) => guest.id === id));
		if (both.length > 0)
			warnings.push(
				`${job.name} takes ${both.length === 1 ? both[0]?.name : `${both.length} of these guests`} too; they take turns`,
			);
	}
	const hostIds = new Set(guests.map(({ grant }) => grant.ownerHostId));
	for (const hostId of hostIds) {
		const obstacle = reach.obstacle(hostId, repository);
		if (obstacle) warnings.push(obstacle);
		const pool = poolBesideRepository(core, repositories.accessOf(repository).place, hostId);
		if (pool)
			warnings.push(
				`on ${inventory.hostName(hostId)} the repository lies on the same disk as pool ${pool}: one broken disk takes both`,
			);
	}
	return warnings;
}

/** A pool whose file system has exactly the repository folder's size and room is, as far as can be seen from here, the same one. */
function poolBesideRepository({ inventory }: Core, place: RepositoryPlace, hostId: HostId): string | null {
	const facts = inventory.host(hostId).facts;
	const folder =
		place.kind === "directory" ? facts?.repositoryFolders.find(({ name }) => name === place.name) : undefined;
	if (!folder || folder.capacityBytes === 0) return null;
	const same = facts?.pools.find(
		({ capacityBytes, freeBytes }) => capacityBytes === folder.capacityBytes && freeBytes === folder.freeBytes,
	);
	return same?.name ?? null;
}
