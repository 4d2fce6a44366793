import type { Logger } from "pino";
import type { EventLog, NewEvent } from "../events/log.ts";

/** The same alarm is written at most this often: an agent that misbehaves must not fill the log. */
const quietMs = 10 * 60_000;
const maxKeys = 10_000;

/** Writes alarms into the event log, each key once in a while. */
export function quietAlarms(events: EventLog, log: Logger, now: () => number) {
	const raisedAt = new Map<string, number>();
	return {
		async raise(key: string, event: NewEvent): Promise<void> {
			if (now() - (raisedAt.get(key) ?? Number.NEGATIVE_INFINITY) < quietMs) return;
			if (raisedAt.size >= maxKeys) raisedAt.clear();
			raisedAt.set(key, now());
			await events.append(event).catch((err) => log.error({ err }, "alarm not written"));
		},
	};
}
