import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** One change of a guest at a time: the second person is told so, instead of waiting for a guest that is not theirs any more. */
export class GuestLocks {
	readonly #held = new Map<GuestId, string>();

	isHeld(guestId: GuestId): boolean {
		return this.#held.has(guestId);
	}

	/** @throws {SternaError} `conflict` while another change is under way; what `change` throws. */
	async hold<Result>(
		guest: { id: GuestId; name: string },
		what: string,
		change: () => Promise<Result>,
	): Promise<Result> {
		const other = this.#held.get(guest.id);
		if (other) {
			throw new SternaError("conflict", `${guest.name}: another change is under way (${other})`, {
				cure: "wait a moment and look at its state again",
			});
		}
		this.#held.set(guest.id, what);
		try {
			return await change();
		} finally {
			this.#held.delete(guest.id);
		}
	}
}
