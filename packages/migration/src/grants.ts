import type { ErrorCode } from "@sterna/shared/errors";
import type { GrantRole, GuestReport } from "@sterna/shared/guest";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import type { Permit } from "@sterna/shared/protocol/permit";
import { z } from "zod";

/**
 * The console's half of a hand-over: what it has granted, and what the agents' reports make of it. The console decides
 * who *may* take the guest next; who has it now is decided by the agents' records, so a report with a higher epoch always
 * wins, and a console that was away, restarted or restored from an old backup only has to listen.
 */

export const OpenPermit = z.strictObject({
	migrationId: MigrationId,
	epoch: Epoch,
	sourceHostId: HostId,
	targetHostId: HostId,
	/** The source begins no later than this. */
	expiresAt: TimestampMs,
});
export type OpenPermit = z.infer<typeof OpenPermit>;

/** One row of the console's database per guest. */
export const GuestGrant = z.strictObject({
	guestId: GuestId,
	ownerHostId: HostId,
	ownerEpoch: Epoch,
	/** Every grant is higher than this; a failed move has used its epoch up. */
	highestEpoch: Epoch,
	/** While it is open the guest may be at its source or its target, and nobody else gets it. */
	permit: OpenPermit.nullable(),
});
export type GuestGrant = z.infer<typeof GuestGrant>;

/** The console's clock and a host's may differ by this much. */
export const clockSlackMs = 60_000;

export function firstGrant(guestId: GuestId, ownerHostId: HostId): GuestGrant {
	return { guestId, ownerHostId, ownerEpoch: 1, highestEpoch: 1, permit: null };
}

/** Grants a move under the next epoch. Store `grant` durably before anyone sees `permit`. */
export function grantMove(
	grant: GuestGrant,
	move: { migrationId: MigrationId; targetHostId: HostId; expiresAt: number },
): { verdict: "accept"; grant: GuestGrant; permit: Permit } | { verdict: "refuse"; code: ErrorCode; message: string } {
	if (grant.permit)
		return { verdict: "refuse", code: "conflict", message: "the guest has a migration that is not settled yet" };
	if (move.targetHostId === grant.ownerHostId) {
		return { verdict: "refuse", code: "conflict", message: "the guest is on that host already" };
	}
	const permit = { ...move, epoch: grant.highestEpoch + 1, sourceHostId: grant.ownerHostId };
	return {
		verdict: "accept",
		grant: { ...grant, highestEpoch: permit.epoch, permit },
		permit: { ...permit, guestId: grant.guestId },
	};
}

/** What one host says about one guest. */
export interface OwnershipReport {
	hostId: HostId;
	role: GrantRole;
	epoch: number;
	/** The move under way from or to this host. */
	migrationId: MigrationId | null;
	/** Moves from this host that ended without a hand-over. */
	endedMigrationIds: readonly MigrationId[];
}

/** The report as `settle` wants it, from what an agent publishes. */
export function ownershipReport(
	hostId: HostId,
	guest: Pick<GuestReport, "guestId" | "role" | "epoch" | "migrationId">,
	migrations: readonly Pick<MigrationReport, "migrationId" | "guestId" | "sourceHostId" | "state">[],
): OwnershipReport {
	const ended = migrations.filter(
		(move) =>
			move.guestId === guest.guestId &&
			move.sourceHostId === hostId &&
			(move.state === "failed" || move.state === "cancelled"),
	);
	const endedMigrationIds = ended.map((move) => move.migrationId);
	return { hostId, role: guest.role, epoch: guest.epoch, migrationId: guest.migrationId, endedMigrationIds };
}

export interface Settlement {
	grant: GuestGrant;
	/** What the report settled; null when nothing. `expired`: the move never began and can no longer. */
	settled: "handedOver" | "ended" | "expired" | null;
	/** A sentence for an alarm: two hosts claim the guest under one epoch. Nothing is decided then. */
	contradiction: string | null;
}

/** What one report makes of a grant. Reports may come late, twice, or in any order. */
export function settle(grant: GuestGrant, report: OwnershipReport, nowMs: number): Settlement {
	const highestEpoch = Math.max(grant.highestEpoch, report.epoch);
	const unchanged = { grant: { ...grant, highestEpoch }, settled: null, contradiction: null };
	if (report.role !== "owner" || report.epoch < grant.ownerEpoch) return unchanged;
	const { hostId, epoch } = report;
	if (epoch > grant.ownerEpoch) {
		const open = grant.permit && grant.permit.sourceHostId === hostId && grant.permit.epoch > epoch;
		const permit = open ? grant.permit : null;
		return {
			grant: { ...grant, highestEpoch, ownerHostId: hostId, ownerEpoch: epoch, permit },
			settled: "handedOver",
			contradiction: null,
		};
	}
	if (hostId !== grant.ownerHostId) {
		const contradiction = `hosts ${grant.ownerHostId} and ${hostId} both claim the guest under epoch ${epoch}`;
		return { grant, settled: null, contradiction };
	}
	const { permit } = grant;
	if (!permit || report.migrationId === permit.migrationId) return unchanged;
	if (report.endedMigrationIds.includes(permit.migrationId)) {
		return { ...unchanged, grant: { ...grant, highestEpoch, permit: null }, settled: "ended" };
	}
	if (nowMs > permit.expiresAt + clockSlackMs) {
		return { ...unchanged, grant: { ...grant, highestEpoch, permit: null }, settled: "expired" };
	}
	return unchanged;
}

/** All reports at once, for a console that has just started. */
export function settleAll(grant: GuestGrant, reports: readonly OwnershipReport[], nowMs: number): Settlement {
	let result: Settlement = { grant, settled: null, contradiction: null };
	for (const report of [...reports].sort((a, b) => b.epoch - a.epoch)) {
		const next = settle(result.grant, report, nowMs);
		result = {
			...next,
			settled: next.settled ?? result.settled,
			contradiction: next.contradiction ?? result.contradiction,
		};
	}
	return result;
}
