import { refuseExecution } from "@sterna/migration/handover";
import type { DiskProgress } from "@sterna/shared/copying";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import type { Epoch, GuestId, VolumeId } from "@sterna/shared/ids";
import type { ParsedInput } from "@sterna/shared/protocol/commands";
import type { Volume, VolumeMove } from "@sterna/shared/volume";
import type { AgentContext, Announcer } from "../context.ts";
import { claimConflict } from "./claims.ts";
import { type VolumeChange, VolumeChangeFiles } from "./volume-changes.ts";

type Needs = Pick<AgentContext, "hypervisor" | "store" | "queue" | "holds" | "places" | "log" | "dataDir"> & {
	announce: Pick<Announcer, "guestChanged">;
};
type Move = Extract<VolumeChange, { type: "move" }>;
type Attach = Extract<VolumeChange, { type: "attach" }>;

/** How long a change waits that could not be settled: a QEMU that does not answer, a disk that hangs. */
const settleAgainMs = 10_000;

/**
 * Changes of guests' volumes. Each is written down, done by the driver, then told to the spec, then crossed out; whatever
 * was interrupted is settled by the next life, from what the files and the driver say. Until then the guest is held: it is
 * not started from a file that is not its volume any more.
 */
export class GuestVolumes {
	readonly #needs: Needs;
	readonly #files: VolumeChangeFiles;
	readonly #moves = new Map<GuestId, { move: Move; cancel: AbortController; ended: Promise<void> }>();
	readonly #progress = new Map<GuestId, VolumeMove>();
	readonly #timers = new Set<NodeJS.Timeout>();
	#closed = false;

	constructor(needs: Needs) {
		this.#needs = needs;
		this.#files = new VolumeChangeFiles(needs.dataDir);
	}

	/** Larger already: no change. @throws {SternaError} `invalid` for a smaller size, `not_found`, `conflict`, `wrong_state`. */
	grow({ guestId, epoch, volumeId, sizeBytes }: ParsedInput<"volume.grow">): Promise<void> {
		return this.#needs.queue.run(guestId, async () => {
			const { hypervisor, places } = this.#needs;
			const spec = this.#expectFree(guestId, epoch);
			const [location] = places.locate([volumeOf(spec, volumeId)]);
			if (!location) throw new SternaError("internal", `the volume ${volumeId} has no place`);
			await this.#change({ type: "grow", guestId, volumeId }, () =>
				hypervisor.growVolume({ guestId, ...location, sizeBytes }),
			);
		});
	}

	/** The same volume again: no change. @throws {SternaError} `no_capacity`, `conflict`, `not_found`, `wrong_state`. */
	attach({ guestId, epoch, volume }: ParsedInput<"volume.attach">): Promise<void> {
		return this.#needs.queue.run(guestId, async () => {
			const { store } = this.#needs;
			const spec = this.#expectFree(guestId, epoch);
			const wanted = GuestSpec.safeParse({ ...spec, volumes: [...withoutVolume(spec, volume.id), volume] });
			if (!wanted.success) {
				throw new SternaError(
					"no_capacity",
					`guest ${spec.name} has ${spec.volumes.length} volumes, which is the most`,
				);
			}
			const others = store.list().map((guest) => guest.spec);
			const conflict = claimConflict(wanted.data, others);
			if (conflict) throw new SternaError("conflict", conflict);
			const present = spec.volumes.find(({ id }) => id === volume.id);
			if (present && present.pool !== volume.pool) {
				throw new SternaError("conflict", `guest ${spec.name} has the volume ${volume.id} already, in ${present.pool}`);
			}
			if (!present) await this.#refuseTaken(volume);
			await this.#change({ type: "attach", guestId, volume }, async () => {
				if (present) return;
				await this.#needs.places.createVolumes([volume], "images");
				await store.writeSpec({ ...spec, volumes: [...spec.volumes, volume] });
			});
		});
	}

	/** What the guest has, once no change is under way. @throws {SternaError} `conflict`, `not_found`, `wrong_state`. */
	list({ guestId, epoch }: ParsedInput<"volume.list">): Promise<Volume[]> {
		return this.#needs.queue.run(guestId, async () => this.#expectFree(guestId, epoch).volumes);
	}

	/** Fulfilled when the volume is in the pool. There already: no change. The same move again: its end. */
	async move({ guestId, epoch, volumeId, pool }: ParsedInput<"volume.move">): Promise<void> {
		const running = this.#moves.get(guestId);
		if (running?.move.volumeId === volumeId && running.move.toPool === pool) return running.ended;
		const ended = await this.#needs.queue.run(guestId, async () => {
			const volume = volumeOf(this.#expectFree(guestId, epoch), volumeId);
			if (volume.pool === pool) return null;
			const move: Move = { type: "move", guestId, volumeId, fromPool: volume.pool, toPool: pool };
			this.#pathsOf(move);
			await this.#files.write(move);
			// In an object: the queue would wait for a promise, and the guest's other commands need their turns meanwhile.
			return { whole: this.#launch(move) };
		});
		await ended?.whole;
	}

	/** The move under way and how far it is; null while there is none. */
	moveOf(guestId: GuestId): VolumeMove | null {
		return this.#progress.get(guestId) ?? null;
	}

	/** Takes up what an earlier life of the agent left: called once, after running guests were adopted. */
	async resumeAll(): Promise<void> {
		for (const change of await this.#files.list()) {
			this.#needs.log.info({ guestId: change.guestId, change: change.type }, "a change of a volume is settled");
			if (change.type === "move") this.#launch(change).catch(() => {});
			else
				await this.#needs.queue.run(change.guestId, () => this.#settle(change)).catch(() => this.#settleLater(change));
		}
	}

	/** Lets go of what is under way: the next life settles it. */
	close(): void {
		this.#closed = true;
		for (const timer of this.#timers) clearTimeout(timer);
	}

	/** In the guest's turn. On failure it is as if nothing had been, or the guest is held until that is so. */
	async #change(change: Exclude<VolumeChange, Move>, act: () => Promise<void>): Promise<void> {
		const { guestId } = change;
		await this.#files.write(change);
		const failure = await act().then(
			() => null,
			(thrown: unknown) => ({ thrown }),
		);
		try {
			await this.#settle(change);
		} catch (thrown) {
			// What could not be done to an undone change is told by the first failure; a refusal of the last step by itself.
			if ((await this.#files.list()).some((left) => left.guestId === guestId)) this.#settleLater(change);
			throw failure ? failure.thrown : thrown;
		} finally {
			this.#needs.announce.guestChanged(guestId);
		}
		if (failure) throw failure.thrown;
	}

	/** Makes the spec say what is, and crosses the change out. Repeatable. */
	async #settle(change: Exclude<VolumeChange, Move>): Promise<void> {
		const { guestId } = change;
		const spec = this.#needs.store.get(guestId)?.spec;
		if (spec && change.type === "grow") await this.#tellSize(spec, change.volumeId);
		else if (spec && change.type === "attach") await this.#giveOrTakeBack(spec, change);
		await this.#files.remove(guestId);
	}

	async #tellSize(spec: GuestSpec, volumeId: VolumeId): Promise<void> {
		const { hypervisor, places, store } = this.#needs;
		const volume = volumeOf(spec, volumeId);
		const [location] = places.locate([volume]);
		const { sizeBytes } = location ? await hypervisor.inspectVolume(location) : volume;
		if (sizeBytes <= volume.sizeBytes) return;
		await store.writeSpec(withVolume(spec, { ...volume, sizeBytes }));
	}

	/** In the spec: the running guest gets it, or has it already. Not in the spec, or refused: nothing of it is left. */
	async #giveOrTakeBack(spec: GuestSpec, { guestId, volume }: Attach): Promise<void> {
		const { hypervisor, places, store } = this.#needs;
		const locations = places.locate([volume]);
		const isInSpec = spec.volumes.some(({ id }) => id === volume.id);
		try {
			for (const location of isInSpec ? locations : []) await hypervisor.attachVolume(guestId, location);
			if (isInSpec) return;
		} catch (thrown) {
			const { state, seats } = await hypervisor.inspect(guestId);
			if (seats.some((seat) => seat.volumeId === volume.id)) return;
			// One that ended meanwhile gets it at its next start.
			if (state === "absent") return;
			await store.writeSpec({ ...spec, volumes: withoutVolume(spec, volume.id) });
			for (const location of locations) await hypervisor.deleteVolume(location);
			await this.#files.remove(guestId);
			throw thrown;
		}
		for (const location of locations) await hypervisor.deleteVolume(location);
	}

	/** What lies there already is not ours to throw away when attaching fails. */
	async #refuseTaken(volume: Volume): Promise<void> {
		for (const location of this.#needs.places.locate([volume])) {
			if (!(await this.#needs.hypervisor.inspectVolume(location)).exists) continue;
			throw new SternaError("conflict", `pool ${volume.pool} has a volume ${volume.id} already`, {
				cure: "attach a volume with a new id",
			});
		}
	}

	/** The guest is held from here on until the move is settled. */
	#launch(move: Move): Promise<void> {
		const { holds, log } = this.#needs;
		const { guestId } = move;
		const cancel = new AbortController();
		this.#told(move, { transferredBytes: 0, totalBytes: 0 });
		const ended = this.#carryOut(move, cancel.signal);
		const letGo = holds.place(guestId, {
			reason: "has a volume that is being moved to another pool",
			refuses: ["start", "delete", "migrate", "backup", "changeVolumes", "restore"],
			giveWay: async () => {
				cancel.abort();
				await ended.catch(() => {});
			},
		});
		this.#moves.set(guestId, { move, cancel, ended });
		const leave = () => {
			letGo();
			this.#moves.delete(guestId);
			this.#progress.delete(guestId);
			this.#needs.announce.guestChanged(guestId);
		};
		ended.then(leave, (thrown: unknown) => {
			log.error({ guestId, volumeId: move.volumeId, err: asSternaError(thrown) }, "a volume was not moved");
			leave();
		});
		return ended;
	}

	/** Announced at each whole percent, not at each look of the driver. */
	#told({ guestId, volumeId, toPool }: Move, { transferredBytes, totalBytes }: DiskProgress): void {
		const before = this.#progress.get(guestId);
		const now: VolumeMove = { volumeId, toPool, copiedBytes: transferredBytes, totalBytes };
		this.#progress.set(guestId, now);
		if (!before || percentOf(before) !== percentOf(now)) this.#needs.announce.guestChanged(guestId);
	}

	async #carryOut(move: Move, signal: AbortSignal): Promise<void> {
		const { hypervisor, store, queue, announce } = this.#needs;
		const { guestId, volumeId } = move;
		if (!store.get(guestId)?.spec) return this.#files.remove(guestId);
		const { from, to } = this.#pathsOf(move);
		try {
			await hypervisor.moveVolume(
				{ guestId, volumeId, from, to, onProgress: (progress) => this.#told(move, progress) },
				signal,
			);
		} catch (thrown) {
			// With the old file there and no new one it is undone, whatever failed; otherwise the driver has to be asked again.
			const [isOld, isNew] = await Promise.all(
				[from, to].map(async (path) => (await hypervisor.inspectVolume({ volumeId, path })).exists),
			).catch(() => [false, false]);
			if (isOld && !isNew) await this.#files.remove(guestId);
			else this.#settleLater(move);
			throw thrown;
		}
		await queue.run(guestId, async () => {
			const spec = store.get(guestId)?.spec;
			if (spec) await store.writeSpec(withVolume(spec, { ...volumeOf(spec, volumeId), pool: move.toPool }));
			await this.#files.remove(guestId);
		});
		announce.guestChanged(guestId);
	}

	/** The guest is held until a later try has settled it. */
	#settleLater(change: VolumeChange): void {
		if (this.#closed) return;
		const letGo = this.#needs.holds.place(change.guestId, {
			reason: "has a change of its volumes that is not settled",
			refuses: ["start", "delete", "migrate", "backup", "changeVolumes", "restore"],
		});
		const timer = setTimeout(() => {
			this.#timers.delete(timer);
			const settled =
				change.type === "move"
					? this.#launch(change)
					: this.#needs.queue.run(change.guestId, () => this.#settle(change)).catch(() => this.#settleLater(change));
			settled.catch(() => {});
			// The next hold stands already.
			letGo();
		}, settleAgainMs);
		this.#timers.add(timer);
	}

	#pathsOf({ guestId, volumeId, fromPool, toPool }: Move): { from: string; to: string } {
		const { store, places } = this.#needs;
		const spec = store.get(guestId)?.spec;
		if (!spec) throw new SternaError("not_found", `guest ${guestId} is not on this host`);
		const volume = volumeOf(spec, volumeId);
		const [from, to] = places.locate([fromPool, toPool].map((pool) => ({ ...volume, pool })));
		if (!from || !to) throw new SternaError("internal", `the volume ${volumeId} has no place`);
		return { from: from.path, to: to.path };
	}

	/** The guest is this host's under the grant, and nothing else has it. */
	#expectFree(guestId: GuestId, epoch: Epoch): GuestSpec {
		const { store, holds } = this.#needs;
		const guest = store.get(guestId);
		if (!guest?.spec || guest.record.role === "none") {
			throw new SternaError("not_found", `guest ${guestId} is not on this host`);
		}
		const { spec, record } = guest;
		const refusal = refuseExecution(record, epoch);
		if (refusal) throw new SternaError(refusal.code, `guest ${spec.name}: ${refusal.message}`);
		holds.refuseIfHeld(guestId, spec.name, "changeVolumes");
		return spec;
	}
}

function percentOf({ copiedBytes, totalBytes }: VolumeMove): number {
	return totalBytes === 0 ? 0 : Math.floor((copiedBytes * 100) / totalBytes);
}

/** @throws {SternaError} `not_found` */
function volumeOf(spec: GuestSpec, volumeId: VolumeId): Volume {
	const volume = spec.volumes.find(({ id }) => id === volumeId);
	if (!volume) throw new SternaError("not_found", `guest ${spec.name} has no volume ${volumeId}`);
	return volume;
}

function withVolume(spec: GuestSpec, volume: Volume): GuestSpec {
	return { ...spec, volumes: spec.volumes.map((one) => (one.id === volume.id ? volume : one)) };
}

function withoutVolume(spec: GuestSpec, volumeId: VolumeId): Volume[] {
	return spec.volumes.filter(({ id }) => id !== volumeId);
}
