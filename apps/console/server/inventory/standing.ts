import type { GuestReport, GuestSituation, GuestState } from "@sterna/shared/guest";
import { type HealthState, healthOf } from "@sterna/shared/health";
import type { HostConnection } from "@sterna/shared/host";
import { formatDuration } from "@sterna/shared/units";
import type { GuestEntry, HostEntry, Inventory } from "./inventory.ts";

/** An agent that is silent for less than this is just reconnecting. */
export const offlineAfterMs = 10_000;

/** Whether the console hears the host; a short silence counts as hearing it. */
export function connectionOf(host: HostEntry, now: number): HostConnection {
	if (host.revokedAt !== null) return "revoked";
	return host.connected ||
		(host.silentSince !== null && host.lastReport !== null && now - host.silentSince < offlineAfterMs)
		? "online"
		: "offline";
}

/** The host's health: what is known to be bad stays bad while nobody hears it; what was good is unknown then. */
export function healthStateOf(host: HostEntry, now: number): HealthState {
	const known = healthOf(host.findings.map(({ finding }) => finding));
	if (known === "failing" || known === "degraded") return known;
	return connectionOf(host, now) === "online" ? known : "unknown";
}

/** The guest's state as far as the console can say, where it runs, and why where that is not plain. */
export function guestStanding(
	guest: GuestEntry,
	inventory: Inventory,
	now: number,
): { state: GuestState; report: GuestReport | null; host: HostEntry; online: boolean; remark: string | null } {
	const { grant, reports, lastKnown } = guest;
	const taken = grant.permit ? reports.get(grant.permit.targetHostId) : undefined;
	const report = taken?.role === "owner" ? taken : (reports.get(grant.ownerHostId) ?? null);
	const host = inventory.host(
		report === taken && taken ? (grant.permit?.targetHostId ?? grant.ownerHostId) : grant.ownerHostId,
	);
	const online = connectionOf(host, now) === "online";
	if (!online) {
		const since = host.silentSince === null ? "" : ` for ${formatDuration(now - host.silentSince)}`;
		const was = (report ?? lastKnown)?.state;
		const remark = `its host ${host.name} has not been heard${since}${was ? `; it was ${was} then` : ""}`;
		return { state: "unknown", report: report ?? lastKnown, host, online, remark };
	}
	if (guest.existence === "creating") return { state: "stopped", report, host, online, remark: "it is being created" };
	if (guest.existence === "deleting") return { state: "stopped", report, host, online, remark: "it is being deleted" };
	if (guest.existence === "restoring") {
		return { state: report?.state ?? "stopped", report, host, online, remark: "it is being restored from a backup" };
	}
	if (!report) {
		const remark = host.lastReport
			? `its host ${host.name} does not know it`
			: `its host ${host.name} has not reported it yet`;
		return { state: "unknown", report: lastKnown, host, online, remark };
	}
	return { state: report.state, report, host, online, remark: report.remark };
}

/** What decides whether an action on the guest is allowed; one table for the server and the button. */
export function situationOf(guest: GuestEntry, inventory: Inventory, now: number): GuestSituation {
	const { state, host } = guestStanding(guest, inventory, now);
	return { state, migrating: guest.grant.permit !== null, hostOnline: host.connected };
}
