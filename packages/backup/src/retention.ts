import type { PointId } from "@sterna/shared/ids";
import type { Retention } from "./job.ts";

/** What a retention must know of a point. */
export interface RetainedPoint {
	pointId: PointId;
	takenAt: number;
	/** A person said that it stays. */
	isProtected: boolean;
	/** A scrub found that not all of it can be restored. */
	isDamaged: boolean;
}

export interface Verdict {
	pointId: PointId;
	takenAt: number;
	/** Why it stays, in words; empty: it goes. */
	keptBy: string[];
}

/** A point dated further ahead than this came from a clock that was wrong. */
const futureSlackMs = 24 * 3_600_000;

type Rule = keyof Retention;
const rules: readonly Rule[] = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];

/**
 * Which of one guest's points stay, newest first: the semantics of Proxmox Backup Server's `keep-*` options
 * (https://pbs.proxmox.com/docs/maintenance.html#pruning). Rules are asked in the order last, hourly, … yearly. Each keeps
 * the newest point of each of the last n of its periods that have a point, and leaves out periods that a rule before has
 * kept a point of. Periods are those of `timeZone`; weeks are those of ISO 8601.
 *
 * Beyond the rules, because a retention must never be what loses data:
 * - protected points stay, and take nobody's place;
 * - a damaged point takes nobody's place either; it stays as long as it would if it were whole, and never alone;
 * - points dated ahead of `now` stay and take nobody's place, or a wrong clock would push out every real one;
 * - the newest whole point always stays.
 */
export function retain(
	points: readonly RetainedPoint[],
	retention: Retention,
	timeZone: string,
	now: number,
): Verdict[] {
	const newestFirst = [...points].sort((a, b) => b.takenAt - a.takenAt || (a.pointId < b.pointId ? 1 : -1));
	const periodsOf = periodsIn(timeZone);
	const isAhead = (point: RetainedPoint) => point.takenAt > now + futureSlackMs;
	const ruled = newestFirst.filter((point) => !point.isProtected && !isAhead(point));
	const byRule = applyRules(
		ruled.filter((point) => !point.isDamaged),
		retention,
		periodsOf,
	);
	const asIfWhole = applyRules(ruled, retention, periodsOf);
	const newestWhole = newestFirst.find((point) => !point.isDamaged && !isAhead(point));
	return newestFirst.map((point) => {
		const keptBy: string[] = [];
		if (point.isProtected) keptBy.push("protected");
		if (isAhead(point)) keptBy.push("dated in the future: the host's clock was wrong");
		const rule = point.isDamaged ? asIfWhole.get(point.pointId) : byRule.get(point.pointId);
		if (rule) keptBy.push(rule);
		if (point === newestWhole && keptBy.length === 0) keptBy.push("the newest whole point");
		return { pointId: point.pointId, takenAt: point.takenAt, keptBy };
	});
}

/** Why each point that stays does. */
function applyRules(
	newestFirst: readonly RetainedPoint[],
	retention: Retention,
	periodsOf: (at: number) => Record<Rule, string>,
): Map<PointId, string> {
	const kept = new Map<PointId, string>();
	/** Points that a rule has passed over: they lie in a period that has its point, and no later rule takes them. */
	const passedOver = new Set<PointId>();
	const periods = new Map(newestFirst.map((point) => [point.pointId, periodsOf(point.takenAt)]));
	for (const rule of rules) {
		const periodOf = (point: RetainedPoint) =>
			rule === "last" ? point.pointId : (periods.get(point.pointId)?.[rule] ?? "");
		const covered = new Set(newestFirst.filter((point) => kept.has(point.pointId)).map(periodOf));
		const taken = new Set<string>();
		for (const point of newestFirst) {
			if (kept.has(point.pointId) || passedOver.has(point.pointId)) continue;
			const period = periodOf(point);
			if (covered.has(period)) continue;
			if (taken.has(period)) {
				passedOver.add(point.pointId);
				continue;
			}
			if (taken.size >= retention[rule]) break;
			taken.add(period);
			kept.set(point.pointId, rule === "last" ? `last ${taken.size} of ${retention.last}` : `${rule} ${period}`);
		}
	}
	return kept;
}

/** Names of the periods that a moment lies in, by the clocks of the time zone. */
function periodsIn(timeZone: string): (at: number) => Record<Rule, string> {
	const format = new Intl.DateTimeFormat("en-US", {
		...{ timeZone, hourCycle: "h23" },
		...{ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
	});
	return (at) => {
		const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
		const { year = "", month = "", day = "", hour = "" } = parts;
		const local = Date.UTC(
			Number(year),
			Number(month) - 1,
			Number(day),
			Number(hour),
			Number(parts.minute),
			Number(parts.second),
		);
		// An hour that the clocks repeat is two hours.
		const offsetMinutes = Math.round((local - at) / 60_000);
		return {
			last: "",
			hourly: `${year}-${month}-${day} ${hour}:00 (UTC${offsetMinutes < 0 ? "-" : "+"}${Math.abs(offsetMinutes)} min)`,
			daily: `${year}-${month}-${day}`,
			weekly: isoWeek(Number(year), Number(month), Number(day)),
			monthly: `${year}-${month}`,
			yearly: year,
		};
	};
}

/** The week of ISO 8601: it belongs to the year that its Thursday lies in. */
function isoWeek(year: number, month: number, day: number): string {
	const dayMs = 24 * 3_600_000;
	const date = Date.UTC(year, month - 1, day);
	const weekday = (new Date(date).getUTCDay() + 6) % 7;
	const thursday = date + (3 - weekday) * dayMs;
	const weekYear = new Date(thursday).getUTCFullYear();
	const week = 1 + Math.floor((thursday - Date.UTC(weekYear, 0, 1)) / (7 * dayMs));
	return `${weekYear}-W${String(week).padStart(2, "0")}`;
}
