import type { Finding } from "@sterna/shared/health";
import type { DamagedGuest } from "./store.ts";

/** Guest folders that could not be read, as findings: a file that changed by itself speaks of a bad disk. */
export function damageFindings(damaged: readonly DamagedGuest[], at: number): Finding[] {
	return damaged.slice(0, 100).map(({ guestId, reason }) => ({
		key: `filesystem/guest-${guestId}/damagedRecord`,
		sensor: "filesystem",
		component: `guest folder ${guestId}`,
		signal: "damagedRecord",
		severity: "degraded",
		value: 1,
		threshold: 1,
		unit: "files",
		windowMs: 0,
		rule: "a guest's folder on this server cannot be read",
		firstSeenAt: at,
		lastSeenAt: at,
		raw: reason.slice(0, 4000),
		relevant: true,
	}));
}
