import { createHash, randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** Whom a ticket lets in: this user, in this session, to this guest. */
export interface TicketHolder {
	userId: string;
	sessionId: string;
	guestId: GuestId;
}

const validMs = 30_000;
const maxOpen = 1000;

/** One-time tickets of 256 bits. Kept in memory, as hashes; a restarted console has given out none. */
export class Tickets {
	readonly #open = new Map<string, TicketHolder & { expiresAt: number }>();
	readonly #now: () => number;

	constructor(now: () => number = Date.now) {
		this.#now = now;
	}

	issue(holder: TicketHolder): { ticket: string; expiresAt: number } {
		const now = this.#now();
		for (const [hash, { expiresAt }] of this.#open) if (expiresAt <= now) this.#open.delete(hash);
		if (this.#open.size >= maxOpen) throw new SternaError("unavailable", "too many serial consoles are being opened");
		const ticket = randomBytes(32).toString("base64url");
		const expiresAt = now + validMs;
		this.#open.set(hashOf(ticket), { ...holder, expiresAt });
		return { ticket, expiresAt };
	}

	/**
	 * Takes the ticket, also when it is then refused: it is good once, whoever brings it.
	 * @throws {SternaError} `forbidden`, the same sentence for every reason.
	 */
	redeem(ticket: string, who: { userId: string; sessionId: string }): GuestId {
		const hash = hashOf(ticket);
		const held = this.#open.get(hash);
		this.#open.delete(hash);
		if (!held || held.expiresAt <= this.#now() || held.userId !== who.userId || held.sessionId !== who.sessionId) {
			throw new SternaError("forbidden", "this ticket does not open anything", {
				cure: "open the serial console again",
			});
		}
		return held.guestId;
	}
}

function hashOf(ticket: string): string {
	return createHash("sha256").update(ticket).digest("hex");
}
