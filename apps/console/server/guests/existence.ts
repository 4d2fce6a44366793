import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { GuestId, HostId } from "@sterna/shared/ids";
import { and, eq, isNull } from "drizzle-orm";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import type { Transaction } from "../db/database.ts";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { type GuestEntry, newGuestEntry } from "../inventory/inventory.ts";
import { isNewer } from "../inventory/sequence.ts";
import { choosePlacement, nobodyTakes } from "../placement/candidates.ts";
import { grantedBytesOf, reserveMemory } from "../placement/capacity.ts";
import { type NewGuest, newSpec } from "./new-guest.ts";

/** Copying an image into a new volume may take a while. */
const createTimeoutMs = 120_000;
const maxPlacementTries = 3;
const finishEveryMs = 30_000;

/** Whether the other side may have done it although no answer came. */
export function isUnheard(error: SternaError): boolean {
	return ["unavailable", "timeout", "host_offline", "cancelled", "internal"].includes(error.code);
}

/** Brings guests into the world and out of it. Both are recorded before the agent is asked, and finished later if it was silent. */
export class GuestExistence {
	readonly #core: Core;
	readonly #hub: AgentHub;
	/** Guests that are being finished at this moment. */
	readonly #finishing = new Set<GuestId>();
	#lookedAt = 0;

	constructor(core: Core, hub: AgentHub) {
		this.#core = core;
		this.#hub = hub;
	}

	/**
	 * Finds a place, sets its memory aside and makes the guest there, stopped.
	 * @throws {SternaError} `conflict` for a taken name; `no_capacity` or `incompatible` naming every host's reason; what
	 * the agent refused (nothing is left then); `unavailable` when it did not answer (it is finished when it does).
	 */
	async create(wish: NewGuest, actor: string): Promise<GuestEntry> {
		const { inventory } = this.#core;
		const spec = newSpec(wish, (mac) => this.#isMacTaken(mac));
		if ([...inventory.guests.values()].some((guest) => guest.name === spec.name)) throw nameTaken(spec.name);
		if (wish.hostId) inventory.host(wish.hostId);
		const { hostIds, candidates } = choosePlacement(
			inventory,
			{ spec, ...(wish.hostId ? { wanted: wish.hostId } : {}) },
			this.#core.now(),
		);
		if (hostIds.length === 0) {
			const relevant = candidates.filter(({ host }) => !wish.hostId || host.id === wish.hostId);
			throw nobodyTakes(spec.name, relevant, "choose smaller sizes, other pools or networks, or join another server");
		}
		const guest = await this.#reserve(spec, hostIds.slice(0, maxPlacementTries), actor);
		await this.#finishCreating(guest);
		return guest;
	}

	/**
	 * Deletes a stopped guest with its volumes.
	 * @throws {SternaError} `conflict` while a move is not settled; what the agent refused (it stays then).
	 */
	async delete(guest: GuestEntry, actor: string): Promise<void> {
		const { db, events } = this.#core;
		await db.transaction(async (tx) => {
			const rows = await tx
				.update(tables.guests)
				.set({ existence: "deleting" })
				.where(
					and(
						eq(tables.guests.id, guest.id),
						eq(tables.guests.existence, "present"),
						isNull(tables.guests.permitMigrationId),
					),
				)
				.returning();
			if (rows.length === 0) throw new SternaError("conflict", `${guest.name} is being changed; it was not deleted`);
			await events.append(
				{
					kind: "guest.deleted",
					actor,
					objects: [{ type: "guest", id: guest.id, name: guest.name }],
					sentence: `${actor} deleted ${guest.name} with its volumes`,
					evidence: guest.spec,
				},
				tx,
			);
		});
		guest.existence = "deleting";
		await this.#finishDeleting(guest);
	}

	/** Finishes from time to time what agents left half done without losing their connection. */
	async tick(): Promise<void> {
		if (this.#core.now() - this.#lookedAt < finishEveryMs) return;
		this.#lookedAt = this.#core.now();
		for (const hostId of this.#hub.connectedHosts()) void this.finishPending(hostId);
	}

	/** Finishes what silent agents left half done: called when a host connects. */
	async finishPending(hostId: HostId): Promise<void> {
		for (const guest of this.#core.inventory.guestsOf(hostId)) {
			if (this.#finishing.has(guest.id)) continue;
			try {
				if (guest.existence === "creating") await this.#finishCreating(guest);
				if (guest.existence === "deleting") await this.#finishDeleting(guest);
			} catch (thrown) {
				this.#core.log.warn({ err: asSternaError(thrown), guestId: guest.id }, "guest not finished");
			}
		}
	}

	async #reserve(spec: GuestSpec, hostIds: readonly HostId[], actor: string): Promise<GuestEntry> {
		const { db, inventory, events, now } = this.#core;
		const grantedBytes = grantedBytesOf(spec.memoryBytes);
		let full: unknown = null;
		for (const hostId of hostIds) {
			const host = inventory.host(hostId);
			try {
				const row = await db.transaction(async (tx) => {
					await reserveMemory(tx, host, grantedBytes);
					const [inserted] = await tx
						.insert(tables.guests)
						.values({
							...{ id: spec.id, name: spec.name, spec, grantedBytes, ownerHostId: hostId },
							...{ epoch: 1, highestEpoch: 1, existence: "creating", createdAt: now(), createdBy: actor },
						})
						.returning();
					if (spec.nics.length > 0) {
						await tx.insert(tables.guestAddresses).values(spec.nics.map(({ mac }) => ({ mac, guestId: spec.id })));
					}
					await events.append(
						{
							kind: "guest.created",
							actor,
							objects: [
								{ type: "guest", id: spec.id, name: spec.name },
								{ type: "host", id: hostId, name: host.name },
							],
							sentence: `${actor} created ${spec.name} on ${host.name}`,
							evidence: { spec, alternatives: hostIds.map((id) => inventory.hostName(id)) },
						},
						tx,
					);
					return inserted;
				});
				if (!row) throw new SternaError("internal", "the guest was not recorded");
				const guest = newGuestEntry(row);
				inventory.guests.set(guest.id, guest);
				return guest;
			} catch (error) {
				if (isTaken(error)) throw nameTaken(spec.name);
				if (!(error instanceof SternaError && error.code === "no_capacity")) throw error;
				full = error;
			}
		}
		throw full;
	}

	async #finishCreating(guest: GuestEntry): Promise<void> {
		const { db, inventory, changes } = this.#core;
		const { ownerHostId, ownerEpoch } = guest.grant;
		this.#finishing.add(guest.id);
		try {
			const input = { spec: guest.spec, epoch: ownerEpoch };
			const report = await this.#hub.call(ownerHostId, "guest.create", input, { timeoutMs: createTimeoutMs });
			if (isNewer(guest.reports.get(ownerHostId), report)) guest.reports.set(ownerHostId, report);
			guest.existence = "present";
			await db.update(tables.guests).set({ existence: "present", report }).where(eq(tables.guests.id, guest.id));
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (isUnheard(error)) {
				throw new SternaError(
					"unavailable",
					`${guest.name} is recorded, but its host did not answer: ${error.message}`,
					{
						cure: "it is made as soon as the host answers; nothing more is needed",
						cause: thrown,
					},
				);
			}
			await db.transaction(async (tx) => {
				await tx.delete(tables.guests).where(eq(tables.guests.id, guest.id));
				await this.#tellRefusal(guest, "guest.notCreated", `${guest.name} was not created`, error, tx);
			});
			inventory.guests.delete(guest.id);
			throw error;
		} finally {
			this.#finishing.delete(guest.id);
			changes.touch("overview", "guests", "hosts", `guest:${guest.id}`);
		}
	}

	async #finishDeleting(guest: GuestEntry): Promise<void> {
		this.#finishing.add(guest.id);
		try {
			await this.#deleteThere(guest);
		} finally {
			this.#finishing.delete(guest.id);
		}
	}

	async #deleteThere(guest: GuestEntry): Promise<void> {
		const { db, inventory, changes } = this.#core;
		const { ownerHostId, ownerEpoch } = guest.grant;
		try {
			await this.#hub.call(
				ownerHostId,
				"guest.delete",
				{ guestId: guest.id, epoch: ownerEpoch },
				{ timeoutMs: 60_000 },
			);
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (isUnheard(error)) throw error;
			if (error.code !== "not_found") {
				await db.transaction(async (tx) => {
					await tx.update(tables.guests).set({ existence: "present" }).where(eq(tables.guests.id, guest.id));
					await this.#tellRefusal(guest, "guest.notDeleted", `${guest.name} was not deleted`, error, tx);
				});
				guest.existence = "present";
				throw error;
			}
		}
		await db.delete(tables.guests).where(eq(tables.guests.id, guest.id));
		inventory.guests.delete(guest.id);
		changes.touch("overview", "guests", "hosts", `guest:${guest.id}`);
	}

	/** The log says already that it was to be; it must also say that it was not. */
	#tellRefusal(guest: GuestEntry, kind: string, what: string, error: SternaError, tx: Transaction): Promise<void> {
		const host = this.#core.inventory.host(guest.grant.ownerHostId);
		return this.#core.events.append(
			{
				kind,
				actor: host.name,
				objects: [
					{ type: "guest", id: guest.id, name: guest.name },
					{ type: "host", id: host.id, name: host.name },
				],
				sentence: `${what}: ${host.name} refused`,
				why: error.message,
			},
			tx,
		);
	}

	#isMacTaken(mac: string): boolean {
		return [...this.#core.inventory.guests.values()].some((guest) => guest.spec.nics.some((nic) => nic.mac === mac));
	}
}

function nameTaken(name: string): SternaError {
	return new SternaError("conflict", `there is a guest named ${name} already`, { cure: "choose another name" });
}
