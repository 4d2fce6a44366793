import type { GuestId } from "@sterna/shared/ids";

/**
 * One thing at a time per guest: tasks take turns in the order in which they came, and each decides on the state that the
 * one before it left. Not re-entrant. A migration takes a turn only to begin; from then on the ownership record itself
 * (`outgoing`) keeps commands away.
 */
export class GuestQueue {
	readonly #turns = new Map<GuestId, Promise<void>>();

	/** Runs `task` when the guest's earlier tasks are done, whatever became of them. */
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

	/** Fulfilled when nothing is under way for any guest. */
	async idle(): Promise<void> {
		while (this.#turns.size > 0) await Promise.all(this.#turns.values());
	}
}
