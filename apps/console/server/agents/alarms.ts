import type { HostId } from "@sterna/shared/ids";
import type { Logger } from "pino";
import type { EventLog, NewEvent } from "../events/log.ts";

/** The same alarm is written at most this often: an agent that misbehaves must not fill the log. */
const quietMs = 10 * 60_000;
/** All alarms of one host within that time: it chooses what it says, so different words must not fill the log either. */
const maxPerHost = 20;

/** Writes alarms about hosts into the event log: each once in a while, and only so many of one host. */
export function quietAlarms(events: Pick<EventLog, "append">, log: Logger, now: () => number) {
	/** Per host, when each of its alarms was written. */
	const raised = new Map<HostId, Map<string, number>>();
	return {
		async raise(hostId: HostId, key: string, event: NewEvent): Promise<void> {
			const ofHost = raised.get(hostId) ?? new Map<string, number>();
			raised.set(hostId, ofHost);
			for (const [other, at] of ofHost) if (now() - at >= quietMs) ofHost.delete(other);
			if (ofHost.has(key) || ofHost.size >= maxPerHost) return;
			ofHost.set(key, now());
			await events.append(event).catch((err) => log.error({ err }, "alarm not written"));
		},
	};
}
