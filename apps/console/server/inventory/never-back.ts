import type { Refusal } from "@sterna/shared/migration";
import { formatDuration } from "@sterna/shared/units";
import type { HostEntry } from "./inventory.ts";

/** A server that is repaired or moved is back by then, mostly. */
const patienceMs = 6 * 3_600_000;

/** Why nothing that the host was given will ever be told of by it; null while it may come back. */
export function whyNeverBack(host: Pick<HostEntry, "name" | "revokedAt" | "connected">): Refusal | null {
	if (host.revokedAt === null || host.connected) return null;
	return { code: "host_offline", message: `${host.name} was revoked; it is not believed any more` };
}

/** The same for work that does no harm when it is begun anew elsewhere: a host that is silent for hours is not waited for. */
export function whyNotWaitedFor(
	host: Pick<HostEntry, "name" | "revokedAt" | "connected" | "silentSince">,
	now: number,
): Refusal | null {
	const silentForMs = host.silentSince === null ? 0 : now - host.silentSince;
	if (silentForMs < patienceMs) return whyNeverBack(host);
	return (
		whyNeverBack(host) ?? {
			code: "host_offline",
			message: `${host.name} was not heard for ${formatDuration(silentForMs)}`,
		}
	);
}
