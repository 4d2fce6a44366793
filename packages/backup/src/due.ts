import { lastRun, nextRun, nextRuns } from "./schedule.ts";

/** A schedule, and up to when its times were looked at. */
export interface WatchedSchedule {
	cron: string;
	timeZone: string;
	/** Times until then have their runs, or were told as missed. */
	seenAt: number;
	/** How long after its time a run may still begin. */
	startWithinMs: number;
}

export interface DueAnswer {
	/** The time that is due now; null when nothing is. */
	dueAt: number | null;
	/** Times that passed while nobody looked and that are not caught up: the console was away, or its clock jumped. */
	missed: { count: number; firstAt: number; lastAt: number } | null;
	/** What to remember; unchanged when nothing happened. */
	seenAt: number;
}

/** A clock that goes back by less than this is only set right: what was run is not run again. */
const clockSlackMs = 3_600_000;
/** Missed times are counted up to here; more are not told apart. */
export const maxMissedCounted = 1000;

/**
 * What of a schedule is due at `now`. However many times passed since it was looked at, at most one is due: the latest, if
 * its window is still open. A clock that jumps forward by a year therefore starts one run, not thousands; one that jumps
 * back makes the schedule go on from there instead of waiting for a year.
 */
export function lookForDue(schedule: WatchedSchedule, now: number): DueAnswer {
	const { cron, timeZone, seenAt, startWithinMs } = schedule;
	if (seenAt > now + clockSlackMs) return { dueAt: null, missed: null, seenAt: now };
	if (now < nextAfter(schedule)) return { dueAt: null, missed: null, seenAt };
	const latest = lastRun(cron, timeZone, now);
	if (latest === null || latest <= seenAt) return { dueAt: null, missed: null, seenAt };
	const caughtUp = now - latest <= startWithinMs;
	return {
		dueAt: caughtUp ? latest : null,
		missed: missedIn(schedule, caughtUp ? latest - 1 : latest),
		seenAt: latest,
	};
}

/** Schedules are looked at every second and due once a day: the next time is worked out once, not every second. */
const remembered = new Map<string, number>();
const maxRemembered = 5000;

function nextAfter({ cron, timeZone, seenAt }: WatchedSchedule): number {
	const key = `${cron}|${timeZone}|${seenAt}`;
	const known = remembered.get(key);
	if (known !== undefined) return known;
	if (remembered.size >= maxRemembered) remembered.clear();
	const next = nextRun(cron, timeZone, seenAt) ?? Number.POSITIVE_INFINITY;
	remembered.set(key, next);
	return next;
}

/** The times behind `seenAt` and until `until`, counted. */
function missedIn({ cron, timeZone, seenAt }: WatchedSchedule, until: number): DueAnswer["missed"] {
	const lastAt = lastRun(cron, timeZone, until);
	if (lastAt === null || lastAt <= seenAt) return null;
	const firstAt = nextRun(cron, timeZone, seenAt) ?? lastAt;
	let count = 1;
	// Few at a time: mostly it is one, and a thousand take a noticeable moment.
	for (let at = firstAt; at < lastAt && count < maxMissedCounted; ) {
		const times = nextRuns(cron, timeZone, at, 20).filter((time) => time <= lastAt);
		count += times.length;
		at = times.length < 20 ? lastAt : (times.at(-1) ?? lastAt);
	}
	return { count: Math.min(count, maxMissedCounted), firstAt, lastAt };
}
