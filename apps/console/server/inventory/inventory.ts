import type { Tag } from "@sterna/backup/job";
import type { GuestGrant } from "@sterna/migration/grants";
import { SternaError } from "@sterna/shared/errors";
import type { GuestMetrics, GuestReport, GuestSpec } from "@sterna/shared/guest";
import type { HostFacts, HostMetrics, HostMode } from "@sterna/shared/host";
import type { EvacuationId, GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import { desc, eq, isNull, sql } from "drizzle-orm";
import type { Database } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import type { GuestProtection } from "../views-guests.ts";

export interface HostEntry {
	id: HostId;
	name: string;
	mode: HostMode;
	revokedAt: number | null;
	quarantinedBecause: string | null;
	joinedAt: number;
	facts: HostFacts | null;
	certificateExpiresAt: number | null;
	metrics: HostMetrics | null;
	/** The open findings, as the database has them. */
	findings: FindingEntry[];
	connected: boolean;
	/** Since when the agent is not heard, by this console's clock; null while it is. */
	silentSince: number | null;
	lastHeardAt: number | null;
	/** The last report that was taken in this life of the console. */
	lastReport: { run: string; id: number } | null;
}

export type FindingEntry = typeof tables.findings.$inferSelect;
export type MoveEntry = typeof tables.migrations.$inferSelect;
export type EvacuationEntry = typeof tables.evacuations.$inferSelect;

/** `creating` and `deleting` are finished by the console's driver; `restoring` belongs to a restore or drill, which ends it. */
export type GuestExistenceState = typeof tables.guests.$inferSelect.existence;

export interface GuestEntry {
	id: GuestId;
	name: string;
	spec: GuestSpec;
	existence: GuestExistenceState;
	grant: GuestGrant;
	grantedBytes: number;
	createdAt: number;
	createdBy: string;
	/** What each host says of it now: the owner, and the other end of a move. */
	reports: Map<HostId, GuestReport>;
	/** What the owner said last, perhaps to an earlier life of the console. */
	lastKnown: GuestReport | null;
	metrics: GuestMetrics | null;
	/** Words by which backup jobs choose it. */
	tags: Tag[];
	/** How it is protected, as of a few seconds ago; null until that was looked up. */
	protection: GuestProtection | null;
}

/** Ended moves that are remembered here, to tell old news from foreign ones. The database has them all. */
const rememberedMoves = 5000;

/**
 * The memory copy of what the database and the agents say. Everything is written to the database first and here after;
 * what agents report (states, metrics) is here first and in the database when it must survive.
 */
export class Inventory {
	readonly hosts = new Map<HostId, HostEntry>();
	readonly guests = new Map<GuestId, GuestEntry>();
	/** By id, oldest first. */
	readonly moves = new Map<MigrationId, MoveEntry>();
	/** Those under way. */
	readonly evacuations = new Map<EvacuationId, EvacuationEntry>();

	/** @throws {SternaError} `not_found`. */
	host(hostId: string): HostEntry {
		const host = this.hosts.get(hostId as HostId);
		if (!host) throw new SternaError("not_found", `there is no host ${hostId}`);
		return host;
	}

	/** @throws {SternaError} `not_found`. */
	guest(guestId: string): GuestEntry {
		const guest = this.guests.get(guestId as GuestId);
		if (!guest) throw new SternaError("not_found", `there is no guest ${guestId}`);
		return guest;
	}

	/** A host's name also when it is long gone. */
	hostName(hostId: HostId): string {
		return this.hosts.get(hostId)?.name ?? "a former host";
	}

	/** Guests that the host owns. */
	guestsOf(hostId: HostId): GuestEntry[] {
		return [...this.guests.values()].filter((guest) => guest.grant.ownerHostId === hostId);
	}

	/** The latest moves of a guest that are still remembered, newest last. */
	movesOf(guestId: GuestId): MoveEntry[] {
		return [...this.moves.values()].filter((move) => move.guestId === guestId);
	}

	/** The move of the guest that has not ended; undefined when it rests. */
	moveUnderWay(guestId: GuestId): MoveEntry | undefined {
		const guest = this.guests.get(guestId);
		const id = guest?.grant.permit?.migrationId;
		return id ? this.moves.get(id) : undefined;
	}

	putMove(move: MoveEntry): void {
		this.moves.set(move.id, move);
		if (this.moves.size <= rememberedMoves) return;
		for (const [id, { endedAt }] of this.moves) {
			if (endedAt === null) continue;
			this.moves.delete(id);
			return;
		}
	}

	/** Fills the copy at the start of the console: nobody is connected, nothing was reported. */
	async load(db: Database, now: number): Promise<void> {
		const certificates = await db
			.select({
				hostId: tables.hostCertificates.hostId,
				expiresAt: sql<Date | string>`max(${tables.hostCertificates.expiresAt})`,
			})
			.from(tables.hostCertificates)
			.groupBy(tables.hostCertificates.hostId);
		const expiry = new Map(certificates.map((row) => [row.hostId, new Date(row.expiresAt).getTime()]));
		for (const row of await db.select().from(tables.hosts)) {
			this.hosts.set(row.id, newHostEntry(row, expiry.get(row.id) ?? null, now));
		}
		for (const row of await db.select().from(tables.findings).where(eq(tables.findings.state, "open"))) {
			this.hosts.get(row.hostId)?.findings.push(row);
		}
		for (const row of await db.select().from(tables.guests)) this.guests.set(row.id, newGuestEntry(row));
		const ended = await db
			.select()
			.from(tables.migrations)
			.orderBy(desc(tables.migrations.startedAt))
			.limit(rememberedMoves);
		const underWay = await db.select().from(tables.migrations).where(isNull(tables.migrations.endedAt));
		for (const move of [...ended.reverse(), ...underWay]) this.moves.set(move.id, move);
		for (const guest of this.guests.values()) {
			const move = guest.grant.permit && this.moves.get(guest.grant.permit.migrationId);
			if (guest.grant.permit && move) guest.grant.permit = { ...guest.grant.permit, expiresAt: move.permitExpiresAt };
		}
		for (const row of await db.select().from(tables.evacuations).where(isNull(tables.evacuations.endedAt))) {
			this.evacuations.set(row.id, row);
		}
	}
}

export function newHostEntry(
	row: typeof tables.hosts.$inferSelect,
	certificateExpiresAt: number | null,
	now: number,
): HostEntry {
	const { id, name, mode, revokedAt, quarantinedBecause, joinedAt, facts, lastHeardAt } = row;
	return {
		...{ id, name, mode, revokedAt, quarantinedBecause, joinedAt, facts, lastHeardAt, certificateExpiresAt },
		metrics: null,
		findings: [],
		connected: false,
		silentSince: now,
		lastReport: null,
	};
}

export function newGuestEntry(row: typeof tables.guests.$inferSelect): GuestEntry {
	const { id, name, spec, existence, grantedBytes, createdAt, createdBy, tags } = row;
	return {
		...{ id, name, spec, existence, grantedBytes, createdAt, createdBy, tags },
		grant: grantOf(row),
		reports: new Map(),
		lastKnown: row.report,
		metrics: null,
		protection: null,
	};
}

/** The grant as the guest's row keeps it. The permit's expiry stands in the row of its migration. */
export function grantOf(row: typeof tables.guests.$inferSelect, permitExpiresAt = 0): GuestGrant {
	const { permitMigrationId, permitTargetHostId, permitEpoch } = row;
	return {
		guestId: row.id,
		ownerHostId: row.ownerHostId,
		ownerEpoch: row.epoch,
		highestEpoch: row.highestEpoch,
		permit:
			permitMigrationId && permitTargetHostId && permitEpoch
				? {
						migrationId: permitMigrationId,
						epoch: permitEpoch,
						sourceHostId: row.ownerHostId,
						targetHostId: permitTargetHostId,
						expiresAt: permitExpiresAt,
					}
				: null,
	};
}

/** The columns that keep a grant. */
export function grantColumns(grant: GuestGrant) {
	return {
		ownerHostId: grant.ownerHostId,
		epoch: grant.ownerEpoch,
		highestEpoch: grant.highestEpoch,
		permitMigrationId: grant.permit?.migrationId ?? null,
		permitTargetHostId: grant.permit?.targetHostId ?? null,
		permitEpoch: grant.permit?.epoch ?? null,
	};
}
