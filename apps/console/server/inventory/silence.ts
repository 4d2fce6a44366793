import type { quietAlarms } from "../agents/alarms.ts";
import type { Core } from "../core.ts";
import { offlineAfterMs } from "./standing.ts";

/**
 * Tells pages and the event log when a host turns from "reconnecting" to "not heard", and when it is heard again: nothing
 * else happens at that moment. Call the returned function every second or so.
 */
export function watchSilence(
	{ inventory, changes, now }: Pick<Core, "inventory" | "changes" | "now">,
	alarms: ReturnType<typeof quietAlarms>,
): () => Promise<void> {
	const told = new Set<string>();
	return async () => {
		for (const host of inventory.hosts.values()) {
			const silent = host.revokedAt === null && host.silentSince !== null && now() - host.silentSince >= offlineAfterMs;
			if (silent === told.has(host.id)) continue;
			if (silent) told.add(host.id);
			else told.delete(host.id);
			changes.touch("overview", "hosts", "guests", `host:${host.id}`);
			for (const guest of inventory.guestsOf(host.id)) changes.touch(`guest:${guest.id}`);
			if (host.revokedAt !== null) continue;
			await alarms.raise(host.id, silent ? "silent" : "heard", {
				kind: silent ? "host.silent" : "host.heardAgain",
				actor: "console",
				objects: [{ type: "host", id: host.id, name: host.name }],
				sentence: silent ? `${host.name} is not heard any more` : `${host.name} is heard again`,
				why: silent ? "its agent has not been connected for 10 s; what its guests do is not known" : null,
			});
		}
	};
}
