import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type { SimulatedGuests } from "./guests.ts";
import { type MoveRates, SimulatedMove } from "./move.ts";

/** The moves away from this host, one per guest. */
export class SimulatedMoves {
	readonly #guests: SimulatedGuests;
	readonly #rates: MoveRates;
	readonly #moves = new Map<GuestId, SimulatedMove>();

	constructor(guests: SimulatedGuests, rates: MoveRates) {
		this.#guests = guests;
		this.#rates = rates;
	}

	/** The guest's move; begun when there is none. @throws {SternaError} `not_found` */
	of(guestId: GuestId): SimulatedMove {
		const { spec } = this.#guests.get(guestId);
		const present = this.#moves.get(guestId);
		if (present) return present;
		const move = new SimulatedMove({ spec, readCount: () => this.#guests.count(guestId), rates: this.#rates });
		this.#moves.set(guestId, move);
		return move;
	}

	/** @throws {SternaError} `wrong_state` while the guest's memory is being copied. */
	refuseWhileUnderWay(guestId: GuestId, verb: string): void {
		if (!this.#moves.get(guestId)?.hasMemoryUnderWay) return;
		const { name } = this.#guests.get(guestId).spec;
		throw new SternaError("wrong_state", `cannot ${verb} guest ${name}: it is being moved`);
	}

	/** Lets go of what the guest's move has open. None: no change. */
	end(guestId: GuestId): void {
		this.#moves.get(guestId)?.close();
		this.#moves.delete(guestId);
	}
}
