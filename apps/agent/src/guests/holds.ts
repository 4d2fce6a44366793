import type { VolumeSource } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** What may not be done to a guest while something else has it. */
export type HeldVerb = "start" | "delete" | "migrate" | "backup" | "changeVolumes" | "restore";

export interface Hold {
	/** What has the guest, as a sentence that follows its name: `is being restored`. */
	reason: string;
	/** What a person may do about it. By default: wait for its end, or cancel it. */
	cure?: string;
	refuses: readonly HeldVerb[];
	/** The guest's volumes are not here yet: it is only ever started with these. */
	sources?: readonly VolumeSource[];
	/** Ends whatever has the guest; fulfilled when the guest is as if it had never been. Absent: nobody can make it end. */
	giveWay?(): Promise<void>;
}

/**
 * Who has which guest. Kept in memory: whoever holds a guest over a restart of the agent has a journal and holds it again.
 * `standing`: a hold that follows from what is stored of the guest itself.
 */
export class GuestHolds {
	readonly #standing: (guestId: GuestId) => Hold | null;
	readonly #holds = new Map<GuestId, Set<Hold>>();

	constructor(standing: (guestId: GuestId) => Hold | null = () => null) {
		this.#standing = standing;
	}

	/** Holds a guest until the returned function is called. */
	place(guestId: GuestId, hold: Hold): () => void {
		const holds = this.#holds.get(guestId) ?? new Set();
		this.#holds.set(guestId, holds.add(hold));
		return () => {
			holds.delete(hold);
			if (holds.size === 0 && this.#holds.get(guestId) === holds) this.#holds.delete(guestId);
		};
	}

	/** Why the guest cannot do that now, as a sentence that follows its name; null when it can. `own`: the hold of who asks. */
	refusal(guestId: GuestId, verb: HeldVerb, own?: Hold): string | null {
		return this.#refusing(guestId, verb, own)?.reason ?? null;
	}

	/** `own`: the hold of who asks. @throws {SternaError} `conflict` with what else has the guest. */
	refuseIfHeld(guestId: GuestId, name: string, verb: HeldVerb, own?: Hold): void {
		const hold = this.#refusing(guestId, verb, own);
		if (!hold) return;
		throw new SternaError("conflict", `guest ${name} ${hold.reason}`, {
			cure: hold.cure ?? "wait for its end, or cancel it",
		});
	}

	/** Where the guest's volumes come from, while they are not here; null when they are. */
	sourcesOf(guestId: GuestId): readonly VolumeSource[] | null {
		for (const { sources } of this.#holds.get(guestId) ?? []) if (sources) return sources;
		return null;
	}

	/** Ends whatever can be ended, for who comes first: a move. Not inside a turn of the guest's queue: what ends takes its own. */
	async makeWay(guestId: GuestId): Promise<void> {
		await Promise.all([...(this.#holds.get(guestId) ?? [])].map((hold) => hold.giveWay?.()));
	}

	#refusing(guestId: GuestId, verb: HeldVerb, own?: Hold): Hold | null {
		for (const hold of this.#holds.get(guestId) ?? []) {
			if (hold !== own && hold.refuses.includes(verb)) return hold;
		}
		const standing = this.#standing(guestId);
		return standing?.refuses.includes(verb) ? standing : null;
	}
}
