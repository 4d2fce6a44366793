import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type { WebSocket } from "ws";
import type { AgentHub } from "../agents/hub.ts";
import { keepAlive } from "../agents/socket-life.ts";
import type { Session } from "../context.ts";
import type { Core } from "../core.ts";
import { guestStanding } from "../inventory/standing.ts";
import type { People } from "../people/people.ts";
import { followSerial, type SerialSource } from "./follow.ts";
import type { Tickets } from "./tickets.ts";

const ticketTimeoutMs = 10_000;
const maxPerGuest = 3;
const maxPerUser = 10;
/** A browser that does not read is not waited for. */
const maxBufferedBytes = 4 * 1024 * 1024;
/** The agent takes at most this much in one command, as base64. */
const maxInputBytes = 12_000;

interface OpenConsole {
	guestId: GuestId;
	userId: string;
}

/**
 * Serial consoles of guests in the browser: `/serial`. The first frame is the ticket as text; then frames from the guest
 * are binary, and frames to it are text or binary. What is typed is not logged.
 */
export class SerialDoor {
	readonly #core: Core;
	readonly #hub: AgentHub;
	readonly #people: People;
	readonly #tickets: Tickets;
	readonly #open = new Set<OpenConsole>();

	constructor(parts: { core: Core; hub: AgentHub; people: People; tickets: Tickets }) {
		this.#core = parts.core;
		this.#hub = parts.hub;
		this.#people = parts.people;
		this.#tickets = parts.tickets;
	}

	/** Takes over a WebSocket from one of our pages. `session` is who was signed in when it was opened. */
	admit(socket: WebSocket, session: Session, headers: Headers): void {
		const stop = new AbortController();
		const farewell = (code: number, reason: string) => {
			stop.abort();
			socket.close(code, reason.slice(0, 100));
		};
		const forget = this.#people.onSessionEnd(session.id, () => farewell(4401, "signed out"));
		const timer = setTimeout(() => farewell(4403, "no ticket came"), ticketTimeoutMs);
		keepAlive(socket, { pingMs: 15_000, silentMs: 45_000, onSilent: () => socket.terminate() });
		socket.on("error", () => socket.terminate());
		socket.once("close", () => {
			stop.abort();
			clearTimeout(timer);
			forget();
		});
		socket.once("message", (data, isBinary) => {
			clearTimeout(timer);
			void this.#serve(socket, { session, headers, ticket: isBinary ? "" : data.toString(), stop }).catch((thrown) => {
				const error = asSternaError(thrown);
				if (error.code === "internal") this.#core.log.error({ err: thrown }, "serial console failed");
				farewell(error.code === "forbidden" ? 4403 : 4500, error.message);
			});
		});
	}

	async #serve(
		socket: WebSocket,
		{ session, headers, ticket, stop }: { session: Session; headers: Headers; ticket: string; stop: AbortController },
	): Promise<void> {
		const who = { userId: session.user.userId, sessionId: session.id };
		const guestId = this.#tickets.redeem(ticket.slice(0, 200), who);
		// The role may have been taken away since the ticket was given.
		const current = await this.#people.sessionOf(headers);
		if (!current || current.id !== session.id || current.user.role === "viewer") {
			throw new SternaError("forbidden", "serial consoles are for operators and admins");
		}
		const guest = this.#core.inventory.guest(guestId);
		const open = { guestId, userId: who.userId };
		this.#refuseTooMany(open);
		this.#open.add(open);
		socket.once("close", () => this.#open.delete(open));
		await this.#core.events.append({
			kind: "guest.serialOpened",
			actor: session.user.name,
			objects: [{ type: "guest", id: guest.id, name: guest.name }],
			sentence: `${session.user.name} opened the serial console of ${guest.name}`,
		});
		this.#takeInput(socket, guestId);
		await followSerial(
			guestId,
			this.#source(guestId),
			(data) => {
				socket.send(data);
				if (socket.bufferedAmount > maxBufferedBytes) {
					stop.abort();
					socket.terminate();
				}
			},
			stop.signal,
		);
		if (!stop.signal.aborted) socket.close(1000, "the guest is gone");
	}

	#takeInput(socket: WebSocket, guestId: GuestId): void {
		let tail = Promise.resolve();
		socket.on("message", (data) => {
			const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data.toString());
			if (bytes.length > maxInputBytes) return socket.close(1009, "too much at once");
			tail = tail
				.then(() =>
					this.#hub.call(this.#hostOf(guestId), "guest.serialInput", { guestId, data: bytes.toString("base64") }),
				)
				.then(
					() => {},
					(thrown) => this.#core.log.info({ err: asSternaError(thrown), guestId }, "serial input not taken"),
				);
		});
	}

	#refuseTooMany({ guestId, userId }: OpenConsole): void {
		const open = [...this.#open];
		const ofGuest = open.filter((other) => other.guestId === guestId).length;
		const ofUser = open.filter((other) => other.userId === userId).length;
		if (ofGuest < maxPerGuest && ofUser < maxPerUser) return;
		throw new SternaError(
			"forbidden",
			`at most ${maxPerGuest} serial consoles of a guest and ${maxPerUser} of a person`,
			{
				cure: "close another one first",
			},
		);
	}

	#hostOf(guestId: GuestId) {
		const { inventory, now } = this.#core;
		return guestStanding(inventory.guest(guestId), inventory, now()).host.id;
	}

	#source(guestId: GuestId): SerialSource {
		const { inventory, changes, now } = this.#core;
		const topics = new Set([`guest:${guestId}`, "hosts"]);
		return {
			ownerOf: () => {
				const guest = inventory.guests.get(guestId);
				if (!guest) return null;
				const { host, state } = guestStanding(guest, inventory, now());
				return { hostId: host.id, connected: host.connected, running: state === "running" };
			},
			stream: (hostId, fromOffset, onItem, signal) =>
				this.#hub.stream(hostId, "guest.serialOutput", { guestId, fromOffset }, { onItem, signal }),
			change: (signal) => changes.once(topics, 1000, signal),
		};
	}
}
