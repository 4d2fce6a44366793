import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { newGuestEntry } from "../inventory/inventory.ts";
import { grantedBytesOf, reserveMemory } from "../placement/capacity.ts";
import type { BackupParts } from "./parts.ts";
import type { PlannedRestore } from "./restore-plan.ts";
import type { RestoreEntry } from "./restores.ts";

/**
 * The guests that restores make or write over. While a restore works on a guest its existence is `restoring`: nobody
 * starts, moves, deletes or backs it up. A new guest goes again with a failed restore; an old one has the epoch after that
 * its host holds: the former one, unless its disks were touched.
 */
export class RestoreTargets {
	readonly #parts: BackupParts;

	constructor(parts: BackupParts) {
		this.#parts = parts;
	}

	/** Records the guest to be, in the transaction that records the restore. Returns the epoch under which it is made. */
	async claim(tx: Transaction, { kind, spec }: PlannedRestore, hostId: HostId, actor: string): Promise<number> {
		const { core } = this.#parts;
		if (kind === "over" || kind === "disk") {
			const [row] = await tx
				.update(tables.guests)
				.set({ existence: "restoring", epoch: sql`highest_epoch + 1`, highestEpoch: sql`highest_epoch + 1` })
				.where(
					and(
						...[
							eq(tables.guests.id, spec.id),
							eq(tables.guests.existence, "present"),
							eq(tables.guests.ownerHostId, hostId),
						],
						isNull(tables.guests.permitMigrationId),
					),
				)
				.returning();
			if (!row) throw new SternaError("conflict", `${spec.name} is being changed; it was not restored`);
			return row.epoch;
		}
		const grantedBytes = grantedBytesOf(spec.memoryBytes);
		await reserveMemory(tx, core.inventory.host(hostId), grantedBytes);
		await tx
			.insert(tables.guests)
			.values({
				...{ id: spec.id, name: spec.name, spec, grantedBytes, ownerHostId: hostId, epoch: 1, highestEpoch: 1 },
				...{ existence: "restoring" as const, createdAt: core.now(), createdBy: actor },
			})
			.catch((thrown) => {
				if (isTaken(thrown))
					throw new SternaError("conflict", `there is a guest named ${spec.name} already`, {
						cure: "choose another name",
					});
				throw thrown;
			});
		if (spec.nics.length > 0) {
			await tx.insert(tables.guestAddresses).values(spec.nics.map(({ mac }) => ({ mac, guestId: spec.id })));
		}
		return 1;
	}

	/** The copy in memory follows, once the transaction stands. */
	async claimed(restore: RestoreEntry, planned: PlannedRestore): Promise<void> {
		const { core } = this.#parts;
		const { inventory } = core;
		const [row] = await core.db.select().from(tables.guests).where(eq(tables.guests.id, restore.targetGuestId));
		if (!row) return;
		const known = inventory.guests.get(row.id);
		if (!known) inventory.guests.set(row.id, newGuestEntry(row));
		else {
			known.existence = row.existence;
			known.grant = { ...known.grant, ownerEpoch: row.epoch, highestEpoch: row.highestEpoch };
		}
		core.changes.touch("guests", `guest:${row.id}`, `host:${planned.hostId}`, "overview");
	}

	/** From here on the guest is one like any other. */
	async release(restore: RestoreEntry): Promise<void> {
		const { db, inventory, changes } = this.#parts.core;
		const guest = inventory.guests.get(restore.targetGuestId);
		if (guest?.existence !== "restoring") return;
		await db
			.update(tables.guests)
			.set({ existence: "present", spec: restore.spec })
			.where(eq(tables.guests.id, restore.targetGuestId));
		guest.existence = "present";
		guest.spec = restore.spec;
		changes.touch("guests", `guest:${guest.id}`, "overview");
	}

	/** After the restore has ended. */
	async settle(restore: RestoreEntry, { succeeded }: { succeeded: boolean }): Promise<void> {
		const { db, inventory, changes } = this.#parts.core;
		const isNew = restore.targetKind === "new" || restore.targetKind === "drill";
		const stays = succeeded ? restore.targetKind !== "drill" : !isNew;
		const guest = inventory.guests.get(restore.targetGuestId);
		if (stays && succeeded) return this.release(restore);
		if (stays) {
			const former = this.#formerEpoch(restore);
			await db
				.update(tables.guests)
				.set({ existence: "present", ...(former === null ? {} : { epoch: former }) })
				.where(and(eq(tables.guests.id, restore.targetGuestId), eq(tables.guests.existence, "restoring")));
			if (guest?.existence === "restoring") {
				guest.existence = "present";
				if (former !== null) guest.grant = { ...guest.grant, ownerEpoch: former };
			}
		} else if (guest === undefined || guest.existence === "restoring") {
			// An instant restore that failed after its guest ran leaves the guest: people may work with it.
			await db
				.delete(tables.guests)
				.where(and(eq(tables.guests.id, restore.targetGuestId), inArray(tables.guests.existence, ["restoring"])));
			inventory.guests.delete(restore.targetGuestId);
		}
		changes.touch("guests", `guest:${restore.targetGuestId}`, `host:${restore.hostId}`, "overview");
	}

	/** The epoch that the host still holds, as it reported last; null when it took the new one. */
	#formerEpoch(restore: RestoreEntry): number | null {
		const guest = this.#parts.core.inventory.guests.get(restore.targetGuestId);
		const held = guest?.reports.get(restore.hostId)?.epoch ?? guest?.lastKnown?.epoch;
		return held !== undefined && held < restore.epoch ? held : null;
	}
}
