import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { ticketBytes } from "./frame.ts";

interface Held {
	/** Tickets are kept hashed: what reads this process's memory or logs finds nothing that opens a stream. */
	hash: Buffer;
	stream: string;
	used: boolean;
}

/** The tickets of one transfer: each opens one stream, once, before the deadline. */
export class TicketBook {
	readonly #held: Held[] = [];
	readonly #expiresAt: number;
	readonly #now: () => number;

	constructor(lifetimeMs: number, now: () => number = Date.now) {
		this.#now = now;
		this.#expiresAt = now() + lifetimeMs;
	}

	/** A new ticket for the stream, as base64url. */
	issue(stream: string): string {
		const ticket = randomBytes(ticketBytes);
		this.#held.push({ hash: hash(ticket), stream, used: false });
		return ticket.toString("base64url");
	}

	/** Uses a ticket up. Compares with every ticket held, in a time that does not depend on which one matches. */
	redeem(ticket: Buffer): { stream: string } | { refused: string } {
		const presented = hash(ticket);
		let found: Held | undefined;
		for (const held of this.#held) if (timingSafeEqual(held.hash, presented)) found = held;
		if (!found) return { refused: "the ticket is not one of this transfer" };
		if (found.used) return { refused: "the ticket was used before" };
		if (this.#now() > this.#expiresAt) return { refused: "the ticket came too late" };
		found.used = true;
		return { stream: found.stream };
	}

	/** True when nobody can open a stream any more. */
	get exhausted(): boolean {
		return this.#now() > this.#expiresAt || this.#held.every((held) => held.used);
	}
}

function hash(ticket: Buffer): Buffer {
	return createHash("sha256").update(ticket).digest();
}
