import type { Retention } from "@sterna/backup/job";
import { retain, type Verdict } from "@sterna/backup/retention";
import type { BackupJobId, GuestId, PointId } from "@sterna/shared/ids";
import { isNull } from "drizzle-orm";
import * as tables from "../db/schema.ts";
import type { Catalogue, PointEntry } from "./catalogue.ts";
import type { JobEntry, Jobs } from "./jobs.ts";
import type { BackupParts } from "./parts.ts";

const everyMs = 24 * 3_600_000;

/** Applies the jobs' retentions to the catalogue: after each run to its guest, once a day to all. */
export class RetentionKeeper {
	readonly #parts: BackupParts & { jobs: Jobs; catalogue: Catalogue };
	/** Points that a restore reads from right now. */
	readonly #inUse: () => ReadonlySet<PointId>;
	#lastRoundAt = 0;

	constructor(parts: BackupParts & { jobs: Jobs; catalogue: Catalogue }, inUse: () => ReadonlySet<PointId>) {
		this.#parts = parts;
		this.#inUse = inUse;
	}

	/** Once a day, for everything. */
	async tick(): Promise<void> {
		const now = this.#parts.core.now();
		if (now - this.#lastRoundAt < everyMs) return;
		this.#lastRoundAt = now;
		await this.#apply(
			await this.#parts.core.db.select().from(tables.recoveryPoints).where(isNull(tables.recoveryPoints.prunedAt)),
		);
	}

	async applyTo(guestId: GuestId): Promise<void> {
		await this.#apply(await this.#parts.catalogue.pointsOf(guestId));
	}

	/** What a changed or new job would remove now and the present rules would not. */
	async compare(
		job: Pick<JobEntry, "spec"> & { id: BackupJobId | null },
	): Promise<{ removed: PointEntry[]; kept: number }> {
		const { core, jobs } = this.#parts;
		const guests = new Set(jobs.guestsOf(job).map(({ id }) => id));
		const all = await core.db.select().from(tables.recoveryPoints).where(isNull(tables.recoveryPoints.prunedAt));
		const touched = all.filter((point) => {
			const rule = jobs.ruleOf(point);
			const comes = rule === null && guests.has(point.guestId) && point.repositoryId === job.spec.repositoryId;
			return comes || (rule !== null && rule.id === job.id);
		});
		const now = this.#leaving(touched, () => job);
		const before = new Set(this.#leaving(touched, (point) => jobs.ruleOf(point)).map(({ id }) => id));
		return { removed: now.filter(({ id }) => !before.has(id)), kept: touched.length - now.length };
	}

	/** Each of a guest's points under a retention that is only thought of. */
	async preview(
		guestId: GuestId,
		retention: Retention,
		timeZone: string,
	): Promise<{ point: PointEntry; verdict: Verdict }[]> {
		const points = await this.#parts.catalogue.pointsOf(guestId);
		const verdicts = retain(points.map(asRetained), retention, timeZone, this.#parts.clock.now());
		return verdicts.flatMap((verdict) => {
			const point = points.find(({ id }) => id === verdict.pointId);
			return point ? [{ point, verdict }] : [];
		});
	}

	async #apply(points: readonly PointEntry[]): Promise<void> {
		const { jobs, catalogue } = this.#parts;
		const inUse = this.#inUse();
		const leaving = this.#leaving(points, (point) => jobs.ruleOf(point)).filter(({ id }) => !inUse.has(id));
		for (const [job, ofJob] of Map.groupBy(leaving, (point) => jobs.ruleOf(point))) {
			if (!job) continue;
			await catalogue.remove(ofJob, {
				...{ actor: "retention", why: `the retention of ${job.name}`, leaveOutInUse: true },
				rule: { retention: job.spec.retention, timeZone: job.spec.timeZone },
			});
		}
	}

	/** Those that no rule keeps; each guest, repository and job by itself. Points without a rule stay. */
	#leaving(points: readonly PointEntry[], ruleOf: (point: PointEntry) => Pick<JobEntry, "spec"> | null): PointEntry[] {
		const now = this.#parts.clock.now();
		const groups = Map.groupBy(points, (point) => ruleOf(point));
		return [...groups].flatMap(([job, ofJob]) => {
			if (!job) return [];
			const { retention, timeZone } = job.spec;
			const rows = Map.groupBy(ofJob, ({ guestId, repositoryId }) => `${guestId} ${repositoryId}`);
			return [...rows.values()].flatMap((row) => {
				const goes = new Set(
					retain(row.map(asRetained), retention, timeZone, now)
						.filter(({ keptBy }) => keptBy.length === 0)
						.map(({ pointId }) => pointId),
				);
				return row.filter(({ id }) => goes.has(id));
			});
		});
	}
}

function asRetained({ id, takenAt, protectedBy, damage }: PointEntry) {
	return { pointId: id, takenAt, isProtected: protectedBy !== null, isDamaged: damage !== null };
}
