import { SternaError } from "@sterna/shared/errors";
import type { GuestId, HostId, MigrationId } from "@sterna/shared/ids";

/** Why a guest is out of the hands of its admins for a while: the move that it is in. */
export interface Hold {
	readonly migrationId: MigrationId;
	readonly peerHostId: HostId;
}

/**
 * One thing at a time per guest: commands take turns in the order in which they came, and each decides on the state that
 * the one before it left. A migration holds the guest for its whole length; commands are refused meanwhile, not queued.
 */
export class GuestQueue {
	readonly #turns = new Map<GuestId, Promise<void>>();
	readonly #holds = new Map<GuestId, Hold>();

	/** Runs `task` when the guest's earlier tasks are done. */
	run<Result>(guestId: GuestId, task: () => Promise<Result>): Promise<Result> {
		const turn = (this.#turns.get(guestId) ?? Promise.resolve()).then(task);
		const settled = turn.then(
			() => {},
			() => {},
		);
		this.#turns.set(guestId, settled);
		void settled.then(() => {
			if (this.#turns.get(guestId) === settled) this.#turns.delete(guestId);
		});
		return turn;
	}

	/**
	 * Takes the guest for a migration; the returned function gives it back.
	 * @throws {SternaError} `conflict` when another migration holds it.
	 */
	hold(guestId: GuestId, hold: Hold): Promise<() => void> {
		return this.run(guestId, async () => {
			const held = this.#holds.get(guestId);
			if (held) {
				throw new SternaError("conflict", `guest ${guestId} is already in migration ${held.migrationId}`, {
					cure: "wait for its end or cancel it",
				});
			}
			this.#holds.set(guestId, hold);
			return () => {
				if (this.#holds.get(guestId) === hold) this.#holds.delete(guestId);
			};
		});
	}

	/** The migration that holds the guest now. */
	heldBy(guestId: GuestId): Hold | undefined {
		return this.#holds.get(guestId);
	}
}
