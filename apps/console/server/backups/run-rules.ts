import type { GuestId, PointId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";
import { whyNeverBack } from "../inventory/never-back.ts";
import type { RunEntry } from "./runs.ts";

/** A host may speak of the point that it was asked to make, of no other. */
export function isOwnPoint(
	point: { pointId: PointId; guestId: GuestId; repositoryId: string },
	run: RunEntry,
): boolean {
	return point.pointId === run.pointId && point.guestId === run.guestId && point.repositoryId === run.repositoryId;
}

/** Why the run cannot be cancelled any more; null when it can. */
export function refuseCancel(run: RunEntry): string | null {
	if (run.endedAt !== null) return `it has ended (${run.state})`;
	const phase = run.report?.phase;
	if (phase === "releaseSnapshot") return "its recovery point is there already";
	return null;
}

/** Why a run at a host that is not connected is given up; null while the host may go on with it once it is back. */
export function whyLost(
	host: Pick<HostEntry, "id" | "name" | "revokedAt" | "connected">,
	guest: Pick<GuestEntry, "grant"> | undefined,
): Refusal | null {
	if (guest?.grant.ownerHostId === host.id) return whyNeverBack(host);
	return { code: "host_offline", message: `${host.name} is out of reach and does not have the guest any more` };
}
