import { Cron } from "croner";
import { z } from "zod";

/** No schedule is due more often. */
export const minScheduleGapMs = 5 * 60_000;

/** An IANA time zone that this machine knows: `Europe/Vienna`, `UTC`. */
export const TimeZone = z.string().max(64).refine(isTimeZone, "no time zone of that name is known");
export type TimeZone = z.infer<typeof TimeZone>;

/** Five fields of cron(5): minute, hour, day of month, month, day of week. At most every five minutes. */
export const CronExpression = z
	.string()
	.max(200)
	.superRefine((expression, context) => {
		const refusal = refuseCron(expression);
		if (refusal) context.addIssue({ code: "custom", message: refusal });
	});
export type CronExpression = z.infer<typeof CronExpression>;

/**
 * The next moment after `after` at which the schedule is due, milliseconds since 1970; null when it never is again. A
 * local time that the clocks skip is due right after the gap, one that they repeat is due at its first occurrence.
 */
export function nextRun(cron: CronExpression, timeZone: TimeZone, after: number): number | null {
	return scheduleOf(cron, timeZone).nextRun(new Date(after))?.getTime() ?? null;
}

/** The next `count` moments after `after`. */
export function nextRuns(cron: CronExpression, timeZone: TimeZone, after: number, count: number): number[] {
	return scheduleOf(cron, timeZone)
		.nextRuns(count, new Date(after))
		.map((at) => at.getTime());
}

/** The latest moment at or before `until` at which the schedule was due; null when there was none. */
export function lastRun(cron: CronExpression, timeZone: TimeZone, until: number): number | null {
	// The library answers with moments before a whole second.
	const reference = new Date((Math.floor(until / 1000) + 1) * 1000);
	return scheduleOf(cron, timeZone).previousRuns(1, reference)[0]?.getTime() ?? null;
}

function scheduleOf(cron: string, timeZone: string): Cron {
	return new Cron(cron, { timezone: timeZone, mode: "5-part", paused: true });
}

function isTimeZone(name: string): boolean {
	return zones.has(name);
}

const zones: ReadonlySet<string> = new Set([...Intl.supportedValuesOf("timeZone"), "UTC"]);

/** Why the expression is no schedule; null when it is one. */
function refuseCron(expression: string): string | null {
	// The library also takes seconds, nicknames and `?` for "when it was first read"; none of them is cron(5).
	if (!/^[\dA-Za-z*/,#-]+( [\dA-Za-z*/,#-]+){4}$/.test(expression)) {
		return "a schedule has five fields: minute hour day month weekday";
	}
	try {
		const schedule = scheduleOf(expression, "UTC");
		if (schedule.nextRun(new Date(patternStart)) === null) return "this schedule is never due";
		return isTooOften(expression) ? "a schedule is due at most every five minutes" : null;
	} catch {
		return "a schedule has five fields: minute hour day month weekday";
	}
}

/** A Monday, the first of a month, three years before a 29 February: nothing here depends on it. */
const patternStart = Date.UTC(2029, 0, 1);
/** At the highest rate allowed this is two days, and so sees every midnight that a pattern can have. */
const runsLookedAt = 600;

function isTooOften(expression: string): boolean {
	const [minutes = ""] = expression.split(" ");
	// The minutes alone answer for almost every schedule; only those that they cannot clear are followed through the days.
	return hasShortGap(`${minutes} * * * *`, 14) && hasShortGap(expression, runsLookedAt);
}

function hasShortGap(expression: string, runs: number): boolean {
	const at = nextRuns(expression, "UTC", patternStart - 1, runs);
	return at.some((time, index) => index > 0 && time - (at[index - 1] ?? 0) < minScheduleGapMs);
}
