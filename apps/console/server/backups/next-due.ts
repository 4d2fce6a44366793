import { nextRun } from "@sterna/backup/schedule";
import type { Backups } from "./backups.ts";

/** Something that is done by a schedule, and up to when its times were looked at. */
interface Watched {
	/** As it is said: `the backup job nightly`. */
	what: string;
	cron: string;
	timeZone: string;
	seenAt: number;
}

/** What is due first, and when; what is due already counts from now. Null without any schedule that is due again. Pure. */
export function earliestDue(schedules: readonly Watched[], now: number): { what: string; at: number } | null {
	let first: { what: string; at: number } | null = null;
	for (const { what, cron, timeZone, seenAt } of schedules) {
		const at = nextRun(cron, timeZone, Math.max(seenAt, now));
		if (at !== null && (first === null || at < first.at)) first = { what, at };
	}
	return first;
}

/** Every schedule that a console carries out by its clock of schedules. */
export function schedulesOf({ jobs, repositories }: Pick<Backups, "jobs" | "repositories">): Watched[] {
	const enabled = jobs.all().filter(({ spec }) => spec.enabled);
	return [
		...enabled.map(({ name, spec: { cron, timeZone }, seenAt }) => ({
			...{ what: `the backup job ${name}`, cron, timeZone, seenAt },
		})),
		...enabled.flatMap(({ name, spec: { drill, timeZone }, drillSeenAt: seenAt }) =>
			drill ? [{ what: `the proof of backups of ${name}`, cron: drill.cron, timeZone, seenAt }] : [],
		),
		...repositories.all().map(({ name, scrubCron: cron, scrubTimeZone: timeZone, scrubSeenAt: seenAt }) => ({
			...{ what: `the scrub of ${name}`, cron, timeZone, seenAt },
		})),
	];
}
