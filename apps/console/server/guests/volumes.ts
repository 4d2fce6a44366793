import type { Tag } from "@sterna/backup/job";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { type GuestId, newId, VolumeId } from "@sterna/shared/ids";
import type { Output } from "@sterna/shared/protocol/commands";
import { formatBytes } from "@sterna/shared/units";
import type { Volume } from "@sterna/shared/volume";
import { eq } from "drizzle-orm";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";
import { isNewer } from "../inventory/sequence.ts";
import { situationOf } from "../inventory/standing.ts";
import { isUnheard } from "./existence.ts";
import { GuestLocks } from "./locks.ts";
import { isDoubtful, volumeNews } from "./volume-truth.ts";

const quickTimeoutMs = 60_000;
/** A volume is copied while the guest runs; terabytes take their time. */
const moveTimeoutMs = 24 * 3_600_000;
/** How often it is looked whether hosts tell of other disks than are listed. */
const lookEveryMs = 3_000;

/** A guest's disks and tags. Every command to the agent can be repeated: after a lost answer the same request finishes it. */
export class GuestVolumes {
	readonly #core: Core;
	readonly #hub: AgentHub;
	readonly #locks = new GuestLocks();
	#lookedAt = 0;

	constructor(core: Core, hub: AgentHub) {
		this.#core = core;
		this.#hub = hub;
	}

	async setTags(
		{ id, tags }: { id: GuestId; tags: readonly Tag[] },
		actor: string,
	): Promise<{ id: GuestId; tags: Tag[] }> {
		const { db, inventory, events, changes } = this.#core;
		const guest = inventory.guest(id);
		const next = [...new Set(tags)].sort();
		await db.transaction(async (tx) => {
			await tx.update(tables.guests).set({ tags: next }).where(eq(tables.guests.id, id));
			await events.append(
				{
					...{ kind: "guest.tagged", actor, objects: [{ type: "guest", id, name: guest.name }] },
					sentence:
						next.length > 0
							? `${actor} gave ${guest.name} the tags ${next.join(", ")}`
							: `${actor} took all tags from ${guest.name}`,
					evidence: { before: guest.tags, after: next },
				},
				tx,
			);
		});
		guest.tags = next;
		changes.touch("guests", `guest:${id}`, "jobs", "protection");
		return { id, tags: next };
	}

	/** @throws {SternaError} `invalid` for a smaller size; `no_capacity`; what the agent says. */
	grow(input: { id: GuestId; volumeId: VolumeId; sizeBytes: number }, actor: string): Promise<{ id: GuestId }> {
		const { id, volumeId, sizeBytes } = input;
		return this.#change(id, "grow a disk", async (guest) => {
			const volume = volumeOf(guest, volumeId);
			if (sizeBytes < volume.sizeBytes)
				throw new SternaError("invalid", `a disk is never made smaller: it has ${formatBytes(volume.sizeBytes)}`);
			this.#refuseFull(guest, volume.pool, sizeBytes - volume.sizeBytes);
			const spec = withVolume(guest, { ...volume, sizeBytes });
			const epoch = guest.grant.ownerEpoch;
			const input = { guestId: id, epoch, volumeId, sizeBytes };
			const report = await this.#hub.call(guest.grant.ownerHostId, "volume.grow", input, { timeoutMs: quickTimeoutMs });
			await this.#keep(
				guest,
				spec,
				report,
				actor,
				`${actor} made a disk of ${guest.name} ${formatBytes(sizeBytes)} large`,
			);
			return { id };
		});
	}

	/**
	 * Gives the guest an empty disk. The same `volumeId` again finishes what a lost answer left open, and makes no second one.
	 * @throws {SternaError} `conflict` when the id is another disk's; `no_capacity`; `unavailable` when the agent did not
	 * answer; what the agent says.
	 */
	attach(
		input: { id: GuestId; pool: string; sizeBytes: number; volumeId?: VolumeId | undefined },
		actor: string,
	): Promise<{ id: GuestId; volumeId: VolumeId }> {
		const { id, pool, sizeBytes, volumeId = newId(VolumeId) } = input;
		const volume = { id: volumeId, pool, sizeBytes };
		return this.#change(id, "attach a disk", async (guest) => {
			const isRepeated = this.#isRecorded(guest, volume);
			if (!isRepeated) this.#refuseFull(guest, pool, sizeBytes);
			const former = guest.spec;
			const spec = isRepeated ? former : GuestSpec.parse({ ...former, volumes: [...former.volumes, volume] });
			const epoch = guest.grant.ownerEpoch;
			// Recorded first: of a disk that the agent made and nobody knows of, nobody would ever get rid.
			await this.#store(guest, spec);
			const report = await this.#hub
				.call(guest.grant.ownerHostId, "volume.attach", { guestId: id, epoch, volume }, { timeoutMs: quickTimeoutMs })
				.catch(async (thrown) => {
					const error = asSternaError(thrown);
					if (isUnheard(error))
						throw new SternaError(
							"unavailable",
							`whether ${guest.name} has its new disk is not known: ${error.message}`,
							{
								cure: "wait until its host is heard: what it has is listed then; or ask for the same disk again, it is made once",
								cause: thrown,
							},
						);
					// A repeated request may be refused for what is under way now; the disk may be there all the same.
					if (!isRepeated || (await this.#isMissing(guest, volumeId)))
						await this.#store(guest, GuestSpec.parse({ ...former, volumes: withoutVolume(former, volumeId) }));
					throw thrown;
				});
			await this.#keep(
				guest,
				spec,
				report,
				actor,
				`${actor} gave ${guest.name} a disk of ${formatBytes(sizeBytes)} in pool ${pool}`,
			);
			return { id, volumeId };
		});
	}

	/** Whether the host says that the guest has no such volume. A host that does not say: no. */
	async #isMissing({ id, grant }: GuestEntry, volumeId: VolumeId): Promise<boolean> {
		const input = { guestId: id, epoch: grant.ownerEpoch };
		const answer = await this.#hub
			.call(grant.ownerHostId, "volume.list", input, { timeoutMs: quickTimeoutMs })
			.catch(() => null);
		return answer !== null && !answer.volumes.some((volume) => volume.id === volumeId);
	}

	/** @throws {SternaError} `conflict` when the id belongs to a disk that is not the one asked for. */
	#isRecorded(guest: GuestEntry, { id, pool, sizeBytes }: Volume): boolean {
		const holder = [...this.#core.inventory.guests.values()].find(({ spec }) =>
			spec.volumes.some((volume) => volume.id === id),
		);
		if (!holder) return false;
		const present = holder.spec.volumes.find((volume) => volume.id === id);
		if (holder.id === guest.id && present?.pool === pool && present.sizeBytes === sizeBytes) return true;
		throw new SternaError("conflict", `${holder.name} has another disk with the id ${id}`, {
			cure: "ask for a disk with a new id",
		});
	}

	/** @throws {SternaError} `no_capacity`; what the agent says: the volume is where it was then. */
	move(input: { id: GuestId; volumeId: VolumeId; pool: string }, actor: string): Promise<{ id: GuestId }> {
		const { id, volumeId, pool } = input;
		return this.#change(id, "move a disk", async (guest) => {
			const volume = volumeOf(guest, volumeId);
			if (volume.pool === pool) return { id };
			this.#refuseFull(guest, pool, volume.sizeBytes);
			const epoch = guest.grant.ownerEpoch;
			const input = { guestId: id, epoch, volumeId, pool };
			const report = await this.#hub.call(guest.grant.ownerHostId, "volume.move", input, { timeoutMs: moveTimeoutMs });
			await this.#keep(
				guest,
				withVolume(guest, { ...volume, pool }),
				report,
				actor,
				`${actor} moved a disk of ${guest.name} to pool ${pool}`,
			);
			return { id };
		});
	}

	/** Lists what the hosts have where they tell of other disks: the end of a change that nobody heard. Agents are not waited for. */
	async tick(): Promise<void> {
		const { inventory, now, log } = this.#core;
		if (Math.abs(now() - this.#lookedAt) < lookEveryMs) return;
		this.#lookedAt = now();
		for (const guest of inventory.guests.values()) {
			const host = inventory.host(guest.grant.ownerHostId);
			if (!isDoubtful(guest, host) || this.#locks.isHeld(guest.id)) continue;
			void this.#settle(guest, host).catch((err) =>
				log.info({ err: asSternaError(err), guestId: guest.id }, "the guest's disks are not settled yet"),
			);
		}
	}

	/** Asks the host again, in the guest's turn there: what it told may have been from before a change. */
	#settle(guest: GuestEntry, host: HostEntry): Promise<void> {
		return this.#locks.hold(guest, "look at its disks", async () => {
			const { db, events, changes } = this.#core;
			const { id, name } = guest;
			const input = { guestId: id, epoch: guest.grant.ownerEpoch };
			const { volumes } = await this.#hub.call(host.id, "volume.list", input, { timeoutMs: quickTimeoutMs });
			const before = guest.spec.volumes;
			const news = volumeNews({ guest: name, host: host.name }, before, volumes);
			if (news.length === 0) return;
			const spec = GuestSpec.parse({ ...guest.spec, volumes });
			const sentence = news.join("; ").slice(0, 500);
			await db.transaction(async (tx) => {
				await tx.update(tables.guests).set({ spec }).where(eq(tables.guests.id, id));
				await events.append(
					{
						...{ kind: "guest.volumesSettled", actor: host.name, sentence },
						objects: [
							{ type: "guest", id, name },
							{ type: "host", id: host.id, name: host.name },
						],
						evidence: { before, after: volumes },
					},
					tx,
				);
			});
			guest.spec = spec;
			changes.touch("guests", `guest:${id}`);
		});
	}

	#change<Result>(id: GuestId, what: string, change: (guest: GuestEntry) => Promise<Result>): Promise<Result> {
		const { inventory, now } = this.#core;
		const guest = inventory.guest(id);
		return this.#locks.hold(guest, what, async () => {
			if (guest.existence !== "present")
				throw new SternaError("wrong_state", `${guest.name} is being created, restored or deleted`);
			const { migrating, hostOnline } = situationOf(guest, inventory, now());
			if (migrating)
				throw new SternaError(
					"wrong_state",
					`${guest.name} is being migrated; wait for the end or cancel the migration`,
				);
			if (!hostOnline) throw new SternaError("host_offline", `the host of ${guest.name} is out of reach`);
			return change(guest);
		});
	}

	#refuseFull(guest: GuestEntry, pool: string, neededBytes: number): void {
		const host = this.#core.inventory.host(guest.grant.ownerHostId);
		const found = host.facts?.pools.find(({ name }) => name === pool);
		if (!found) throw new SternaError("not_found", `${host.name} has no pool ${pool}`);
		if (neededBytes <= found.freeBytes) return;
		throw new SternaError(
			"no_capacity",
			`pool ${pool} of ${host.name} has ${formatBytes(found.freeBytes)} free; ${formatBytes(neededBytes)} are needed`,
			{
				cure: "choose another pool, or make room first",
			},
		);
	}

	async #keep(
		guest: GuestEntry,
		spec: GuestSpec,
		report: Output<"volume.grow">,
		actor: string,
		sentence: string,
	): Promise<void> {
		const { events } = this.#core;
		const before = guest.spec.volumes;
		if (isNewer(guest.reports.get(guest.grant.ownerHostId), report)) guest.reports.set(guest.grant.ownerHostId, report);
		await this.#store(guest, spec);
		await events.append({
			...{
				kind: "guest.volumesChanged",
				actor,
				objects: [{ type: "guest", id: guest.id, name: guest.name }],
				sentence,
			},
			evidence: { before, after: spec.volumes },
		});
	}

	async #store(guest: GuestEntry, spec: GuestSpec): Promise<void> {
		await this.#core.db.update(tables.guests).set({ spec }).where(eq(tables.guests.id, guest.id));
		guest.spec = spec;
		this.#core.changes.touch("guests", `guest:${guest.id}`);
	}
}

/** @throws {SternaError} `not_found` for another guest's volume. */
function volumeOf(guest: GuestEntry, volumeId: VolumeId) {
	const volume = guest.spec.volumes.find(({ id }) => id === volumeId);
	if (!volume) throw new SternaError("not_found", `${guest.name} has no disk ${volumeId}`);
	return volume;
}

function withVolume(guest: GuestEntry, changed: GuestSpec["volumes"][number]): GuestSpec {
	return { ...guest.spec, volumes: guest.spec.volumes.map((volume) => (volume.id === changed.id ? changed : volume)) };
}

function withoutVolume({ volumes }: GuestSpec, volumeId: VolumeId): Volume[] {
	return volumes.filter(({ id }) => id !== volumeId);
}
