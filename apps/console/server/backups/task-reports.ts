import type { HostId } from "@sterna/shared/ids";

/**
 * The order in which what is said of tasks is taken in. An agent's answer and its stream of reports come by different ways
 * and each is written to the database: without turns an earlier word could be written after a later one, and a task that has
 * ended would stand as running for ever.
 */
export class TaskReports<Id extends string> {
	readonly #open: ReadonlyMap<Id, unknown>;
	readonly #turns = new Map<Id, Promise<void>>();
	readonly #newest = new Map<Id, { hostId: HostId; generation: number }>();

	/** `open`: the tasks that have not ended. */
	constructor(open: ReadonlyMap<Id, unknown>) {
		this.#open = open;
	}

	/** Runs `task` when everything that came before for this id is done, whatever became of it. Not re-entrant. */
	inTurn<Result>(id: Id, task: () => Promise<Result>): Promise<Result> {
		const turn = (this.#turns.get(id) ?? Promise.resolve()).then(task);
		const over = turn.then(
			() => {},
			() => {},
		);
		this.#turns.set(id, over);
		void over.then(() => {
			if (this.#turns.get(id) === over) this.#turns.delete(id);
		});
		return turn;
	}

	/**
	 * Has `apply` take the report in, in its turn, unless a newer one of this host was taken before. `apply` answers whether it
	 * is the host's to say; that is the answer, true for what is old.
	 */
	take(hostId: HostId, id: Id, generation: number, apply: () => Promise<boolean>): Promise<boolean> {
		return this.inTurn(id, async () => {
			const newest = this.#newest.get(id);
			if (newest?.hostId === hostId && generation <= newest.generation) return true;
			const believed = await apply();
			if (!this.#open.has(id)) this.#newest.delete(id);
			else if (believed) this.#newest.set(id, { hostId, generation });
			return believed;
		});
	}

	/** The host has gone: another life of its agent counts its generations from the beginning. */
	forget(hostId: HostId): void {
		for (const [id, newest] of this.#newest) if (newest.hostId === hostId) this.#newest.delete(id);
	}
}
