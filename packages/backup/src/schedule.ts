import { Cron } from "croner";
import { z } from "zod";

/** An IANA time zone that this machine knows: `Europe/Vienna`, `UTC`. */
export const TimeZone = z.string().max(64).refine(isTimeZone, "no time zone of that name is known");
export type TimeZone = z.infer<typeof TimeZone>;

/** Five fields of cron(5): minute, hour, day of month, month, day of week. At most every five minutes. */
export const CronExpression = z
	.string()
	.max(200)
	.refine(isCron, "a schedule has five fields: minute hour day month weekday");
export type CronExpression = z.infer<typeof CronExpression>;

/** The next moment after `after` at which the schedule is due, milliseconds since 1970; null when it never is again. */
export function nextRun(cron: CronExpression, timeZone: TimeZone, after: number): number | null {
	return (
		new Cron(cron, { timezone: timeZone, mode: "5-part", paused: true }).nextRun(new Date(after))?.getTime() ?? null
	);
}

function isTimeZone(name: string): boolean {
	return Intl.supportedValuesOf("timeZone").includes(name) || name === "UTC";
}

function isCron(expression: string): boolean {
	try {
		new Cron(expression, { mode: "5-part", paused: true });
		return true;
	} catch {
		return false;
	}
}
