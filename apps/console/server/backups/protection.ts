import { type ProtectionStanding, standingOf } from "@sterna/backup/standing";
import type { GuestId } from "@sterna/shared/ids";
import { sql } from "drizzle-orm";
import type { GuestEntry } from "../inventory/inventory.ts";
import type { ProtectionSummary } from "../views-guests.ts";
import type { Jobs } from "./jobs.ts";
import type { BackupParts } from "./parts.ts";

/** How often the standing of all guests is worked out anew. */
const everyMs = 3000;

const badKinds = { late: "guest.backupLate", damaged: "guest.backupDamaged" };
const currentKind = "guest.backupCurrent";

interface PointFacts {
	newestWholeAt: number | null;
	newestAt: number | null;
}

/** How each guest is protected now; tells once when one falls behind, and once when it is well again. */
export class Protections {
	readonly #parts: BackupParts & { jobs: Jobs };
	readonly #told = new Map<GuestId, ProtectionStanding["state"]>();
	#lookedAt = 0;

	constructor(parts: BackupParts & { jobs: Jobs }) {
		this.#parts = parts;
	}

	async tick(): Promise<void> {
		const { core } = this.#parts;
		if (Math.abs(core.now() - this.#lookedAt) < everyMs) return;
		this.#lookedAt = core.now();
		await this.look();
	}

	/** Works it out for every guest. */
	async look(): Promise<void> {
		const { core, jobs, clock } = this.#parts;
		const now = clock.now();
		const points = await this.#points(now);
		const failures = await this.#failures();
		for (const guest of core.inventory.guests.values()) {
			if (guest.existence !== "present") continue;
			const own = points.get(guest.id);
			const taking = jobs.jobsOf(guest);
			const failed = failures.get(guest.id);
			const standing = standingOf(
				{
					alertAfterMs:
						taking.length === 0 ? null : Math.min(...taking.map(({ spec }) => spec.alertAfterMinutes)) * 60_000,
					newestWholeAt: own?.newestWholeAt ?? null,
					newestIsDamaged: own !== undefined && (own.newestWholeAt === null || (own.newestAt ?? 0) > own.newestWholeAt),
					expectedSince: Math.max(guest.createdAt, ...taking.map(({ createdAt }) => createdAt)),
					failures: failed?.count ?? 0,
					lastFailure: failed?.message ?? null,
				},
				now,
			);
			const changed = guest.protection?.state !== standing.state || guest.protection.sentence !== standing.sentence;
			guest.protection = standing;
			if (changed) core.changes.touch("protection", "guests", `guest:${guest.id}`, "overview");
			await this.#tell(guest, standing);
		}
	}

	/** Once per episode, also when the console was restarted in it. */
	async #tell(guest: GuestEntry, standing: ProtectionStanding): Promise<void> {
		const former = this.#told.get(guest.id);
		this.#told.set(guest.id, standing.state);
		const bad = standing.state === "late" || standing.state === "damaged";
		if (former === standing.state) return;
		if (former === undefined && !(bad && !(await this.#wasTold(guest, standing)))) return;
		const wasBad = former === "late" || former === "damaged";
		if (!bad && !(wasBad && standing.state === "protected")) return;
		await this.#parts.core.events.append({
			kind: bad ? badKinds[standing.state === "late" ? "late" : "damaged"] : currentKind,
			actor: "console",
			objects: [{ type: "guest", id: guest.id, name: guest.name }],
			sentence: bad
				? `${guest.name} is not protected as it should be: ${standing.sentence}`
				: `${guest.name} is protected again`,
			evidence: standing,
			severity: bad ? "degraded" : null,
		});
	}

	/** Whether the log's last word about the guest's backups is this very trouble. */
	async #wasTold(guest: GuestEntry, standing: ProtectionStanding): Promise<boolean> {
		const latest = async (kind: string) => {
			const { rows } = await this.#parts.core.events.list({ objectId: guest.id, kind, filter: "", limit: 1 });
			return rows[0]?.sequence ?? 0;
		};
		const told = await latest(badKinds[standing.state === "late" ? "late" : "damaged"]);
		return told > (await latest(currentKind));
	}

	/** The newest points of every guest. Those dated ahead are left out: a wrong clock must not make a guest look safe. */
	async #points(now: number): Promise<Map<GuestId, PointFacts>> {
		const ahead = new Date(now + 24 * 3_600_000);
		const { rows } = await this.#parts.core.db.execute<{
			guest_id: GuestId;
			whole: string | null;
			newest: string | null;
		}>(sql`
			select guest_id,
				extract(epoch from max(taken_at) filter (where damage is null)) * 1000 as whole,
				extract(epoch from max(taken_at)) * 1000 as newest
			from recovery_points where pruned_at is null and taken_at <= ${ahead.toISOString()}::timestamptz group by guest_id`);
		const number = (text: string | null) => (text === null ? null : Math.round(Number(text)));
		return new Map(
			rows.map((row) => [row.guest_id, { newestWholeAt: number(row.whole), newestAt: number(row.newest) }]),
		);
	}

	/** Failed and missed runs since the last completed one, per guest. */
	async #failures(): Promise<Map<GuestId, { count: number; message: string | null }>> {
		const { rows } = await this.#parts.core.db.execute<{
			guest_id: GuestId;
			count: string;
			message: string | null;
		}>(sql`
			select failed.guest_id, count(*) as count,
				(array_agg(failed.error->>'message' order by failed.ended_at desc))[1] as message
			from backup_runs failed
			left join (select guest_id, max(ended_at) as at from backup_runs where state = 'completed' group by guest_id) good
				on good.guest_id = failed.guest_id
			where failed.state in ('failed', 'missed') and (good.at is null or failed.ended_at > good.at)
			group by failed.guest_id`);
		return new Map(rows.map((row) => [row.guest_id, { count: Number(row.count), message: row.message }]));
	}
}

/** How many guests are protected how. */
export function summaryOf(guests: Iterable<GuestEntry>): ProtectionSummary {
	const summary: ProtectionSummary = { guests: 0, protected: 0, late: 0, unprotected: 0, failing: 0, damaged: 0 };
	for (const { protection, existence } of guests) {
		if (existence !== "present") continue;
		summary.guests++;
		if (protection) summary[protection.state]++;
	}
	return summary;
}
