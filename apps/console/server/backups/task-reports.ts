import type { HostId } from "@sterna/shared/ids";

/** A task that a host was given, and whether it answered. */
interface Task {
	hostId: HostId | null;
	acknowledged: boolean;
}

/**
 * The order in which what is said of tasks is taken in, and which tasks a host's silence about them ends. An agent's answer and
 * its stream of reports come by different ways and each is written to the database: without turns an earlier word could be
 * written after a later one, and a task that has ended would stand as running for ever.
 */
export class TaskReports<Id extends string, Open extends Task> {
	readonly #open: ReadonlyMap<Id, Open>;
	readonly #turns = new Map<Id, Promise<void>>();
	readonly #newest = new Map<Id, { hostId: HostId; generation: number }>();
	/** How often each host has gone: generations that were counted before say nothing about those after. */
	readonly #departures = new Map<HostId, number>();
	/** What each host had taken on when it connected. */
	readonly #takenOn = new Map<HostId, ReadonlySet<Id>>();

	/** `open`: the tasks that have not ended. */
	constructor(open: ReadonlyMap<Id, Open>) {
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
		const departures = this.#departures.get(hostId);
		return this.inTurn(id, async () => {
			const newest = this.#newest.get(id);
			if (newest?.hostId === hostId && generation <= newest.generation) return true;
			const believed = await apply();
			if (!this.#open.has(id)) this.#newest.delete(id);
			else if (believed && this.#departures.get(hostId) === departures) this.#newest.set(id, { hostId, generation });
			return believed;
		});
	}

	/** The host is there; call it before the host is given anything. */
	connected(hostId: HostId): void {
		const taken = [...this.#open].filter(([, task]) => task.hostId === hostId && task.acknowledged);
		this.#takenOn.set(hostId, new Set(taken.map(([id]) => id)));
	}

	/**
	 * The tasks that the host does not know any more, by its list of those that it does. What it took on since it connected is
	 * not judged: the list may be from before.
	 */
	lost(hostId: HostId, known: ReadonlySet<string>): Open[] {
		return [...(this.#takenOn.get(hostId) ?? [])].flatMap((id) => {
			const task = this.#open.get(id);
			return task && !known.has(id) ? [task] : [];
		});
	}

	/** The host has gone: another life of its agent counts its generations from the beginning. */
	disconnected(hostId: HostId): void {
		this.#departures.set(hostId, (this.#departures.get(hostId) ?? 0) + 1);
		this.#takenOn.delete(hostId);
		for (const [id, newest] of this.#newest) if (newest.hostId === hostId) this.#newest.delete(id);
	}
}
