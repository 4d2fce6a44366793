import { lookForDue } from "@sterna/backup/due";
import { asSternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { and, eq, gte } from "drizzle-orm";
import * as tables from "../db/schema.ts";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { Catalogue, PointEntry } from "./catalogue.ts";
import type { JobEntry, Jobs } from "./jobs.ts";
import type { BackupParts } from "./parts.ts";
import type { Restores } from "./restores.ts";
import type { Runs } from "./runs.ts";

/** A round of drills ends this long after its time; what was not proved by then waits for the next. */
const roundMs = 12 * 3_600_000;
const everyMs = 5000;
/** A host that does more than this is not idle. */
const idleCpuShare = 0.5;

/** Proves backups by booting them: in each job's drill time every guest's newest point that nobody proved, one at a time per host, where little else is done. */
export class Drills {
	readonly #parts: BackupParts & { jobs: Jobs; runs: Runs; restores: Restores; catalogue: Catalogue };
	#lookedAt = 0;

	constructor(parts: BackupParts & { jobs: Jobs; runs: Runs; restores: Restores; catalogue: Catalogue }) {
		this.#parts = parts;
	}

	/** Begins what is due and has a place. Which guests are still to be proved follows from what was, so nothing is lost by a restart. */
	async tick(): Promise<void> {
		const { core, jobs } = this.#parts;
		if (Math.abs(core.now() - this.#lookedAt) < everyMs) return;
		this.#lookedAt = core.now();
		for (const job of jobs.all()) if (job.spec.enabled && job.spec.drill) await this.#look(job, job.spec.drill);
	}

	async #look(job: JobEntry, drill: NonNullable<JobEntry["spec"]["drill"]>): Promise<void> {
		const { jobs, clock } = this.#parts;
		const now = clock.now();
		const schedule = { cron: drill.cron, timeZone: job.spec.timeZone, seenAt: job.drillSeenAt, startWithinMs: roundMs };
		const { seenAt } = lookForDue(schedule, now);
		if (seenAt !== job.drillSeenAt) await jobs.saw(job, { drillSeenAt: seenAt });
		// `drillSeenAt` is the time of the latest round, or when the job was made or changed: no round began then.
		const began = lookForDue({ ...schedule, seenAt: seenAt - 1 }, seenAt).dueAt;
		if (began === null || now - began > roundMs || now < began) return;
		for (const guest of jobs.guestsOf(job)) {
			const point = await this.#unproved(guest, job, began);
			if (!point) continue;
			try {
				const hostId = this.#parts.restores.drillHost(point);
				if (hostId && this.#isIdle(hostId))
					await this.#parts.restores.drill(point, drill.check, `job ${job.name}`, job.id);
			} catch (thrown) {
				this.#parts.core.log.warn({ err: asSternaError(thrown), pointId: point.id }, "drill not begun");
			}
		}
	}

	/** The guest's newest whole point of the job's repository, when neither it nor anything of the guest was tried in this round. */
	async #unproved(guest: GuestEntry, job: JobEntry, began: number): Promise<PointEntry | null> {
		const { core, catalogue, restores } = this.#parts;
		if (restores.open().some(({ guestId, mode }) => guestId === guest.id && mode === "drill")) return null;
		const points = await catalogue.pointsOf(guest.id);
		const point = points.find(({ repositoryId, damage }) => repositoryId === job.spec.repositoryId && damage === null);
		if (!point) return null;
		const { restores: rows } = tables;
		const drills = and(eq(rows.mode, "drill"), eq(rows.guestId, guest.id));
		const tried = await core.db.$count(rows, and(drills, gte(rows.startedAt, began)));
		const proved = await core.db.$count(rows, and(drills, eq(rows.pointId, point.id), eq(rows.state, "completed")));
		return tried + proved === 0 ? point : null;
	}

	#isIdle(hostId: HostId): boolean {
		const { core, runs, restores } = this.#parts;
		const host = core.inventory.host(hostId);
		const busy =
			runs.active().some((run) => run.hostId === hostId) ||
			restores.open().some((restore) => restore.hostId === hostId) ||
			[...core.inventory.guests.values()].some(
				({ grant: { permit } }) => permit?.sourceHostId === hostId || permit?.targetHostId === hostId,
			);
		return !busy && (host.metrics?.cpuUsed ?? 0) < idleCpuShare;
	}
}
