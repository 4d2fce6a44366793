import type { GuestGrant } from "@sterna/migration/grants";
import type { GuestReport } from "@sterna/shared/guest";
import type { HostId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";

/**
 * What a host may say. It speaks for itself and for the guests that the console granted to it; of others it gets no word
 * in. `stale` is old news of a host that had the guest before: dropped without alarm. `foreign` is dropped with one.
 */
export type Standing = "current" | "stale" | "foreign";

/** A move as the console's database knows it. */
export interface KnownMove {
	guestId: string;
	epoch: number;
	sourceHostId: HostId;
	targetHostId: HostId;
}

/** Whether `hostId` may report this guest in this role under this epoch. `moves` are the latest moves of the guest. */
export function judgeGuest(
	hostId: HostId,
	report: Pick<GuestReport, "guestId" | "role" | "epoch">,
	grant: GuestGrant | undefined,
	moves: readonly KnownMove[],
): Standing {
	if (!grant) return "foreign";
	const { permit } = grant;
	if (report.role === "owner") {
		if (hostId === grant.ownerHostId && report.epoch === grant.ownerEpoch) return "current";
		if (permit && hostId === permit.targetHostId && report.epoch === permit.epoch) return "current";
	} else if (permit && report.epoch === permit.epoch) {
		if (report.role === "incoming" && hostId === permit.targetHostId) return "current";
		if (report.role === "released" && hostId === permit.sourceHostId) return "current";
	}
	const hadIt = moves.some((move) => involves(move, hostId) && report.epoch <= move.epoch);
	// An owner under the grant's own epoch, on another host, is no old news: it is a second claim.
	return hadIt && (report.role !== "owner" || report.epoch < grant.ownerEpoch) ? "stale" : "foreign";
}

/** Only the source of a move reports it, and only as the console ordered it. */
export function judgeMigration(
	hostId: HostId,
	report: Pick<MigrationReport, "guestId" | "epoch" | "sourceHostId" | "targetHostId">,
	move: KnownMove | undefined,
): Standing {
	return move &&
		hostId === move.sourceHostId &&
		report.sourceHostId === move.sourceHostId &&
		report.targetHostId === move.targetHostId &&
		report.guestId === move.guestId &&
		report.epoch === move.epoch
		? "current"
		: "foreign";
}

function involves(move: KnownMove, hostId: HostId): boolean {
	return move.sourceHostId === hostId || move.targetHostId === hostId;
}
