import type { MessagePort } from "node:worker_threads";

/** Where a view lies in memory that the main program and its threads share. */
interface Place {
	room: number;
	at: number;
	lengthBytes: number;
}

/** A job or a result on its way to the other thread. */
export interface Carried {
	/** Without the views of shared memory. */
	fields: Record<string, unknown>;
	/** Those views, by field. */
	places: Record<string, Place>;
	/** Rooms that the other side has not seen yet. */
	rooms: [room: number, memory: SharedArrayBuffer][];
}

/**
 * Memory that both sides know, by number. Numbers travel instead of the memory: V8 takes whatever buffer arrives in a message,
 * shared or handed over, for newly allocated, and a backup that moves every MiB to a thread and back kept its collector busy
 * (docs/decisions/0010).
 */
export class SharedRooms {
	readonly #memory = new Map<number, SharedArrayBuffer>();
	readonly #numbers = new WeakMap<ArrayBufferLike, number>();

	get size(): number {
		return this.#memory.size;
	}

	add(room: number, memory: SharedArrayBuffer): void {
		this.#memory.set(room, memory);
		this.#numbers.set(memory, room);
	}

	/**
	 * Sends it; what is not in a room is handed over. Throws, with nothing sent, what `postMessage` throws.
	 * @param seen rooms that the other side knows; those that are sent along are added to it.
	 */
	post(port: Pick<MessagePort, "postMessage">, message: object, seen: Set<number>): void {
		const carried: Carried = { fields: {}, places: {}, rooms: [] };
		const handedOver = new Set<ArrayBuffer>();
		for (const [field, value] of Object.entries(message)) {
			const room = value instanceof Uint8Array ? this.#numbers.get(value.buffer) : undefined;
			const memory = room === undefined ? undefined : this.#memory.get(room);
			if (room === undefined || memory === undefined) {
				carried.fields[field] = value;
				if (value instanceof Uint8Array && value.buffer instanceof ArrayBuffer) handedOver.add(value.buffer);
				continue;
			}
			carried.places[field] = { room, at: value.byteOffset, lengthBytes: value.byteLength };
			if (!seen.has(room)) carried.rooms.push([room, memory]);
		}
		port.postMessage(carried, [...handedOver]);
		for (const [room] of carried.rooms) seen.add(room);
	}

	/** What was carried, as it was. */
	arrived({ fields, places, rooms }: Carried, seen: Set<number>): Record<string, unknown> {
		for (const [room, memory] of rooms) {
			this.add(room, memory);
			seen.add(room);
		}
		const message = { ...fields };
		for (const [field, { room, at, lengthBytes }] of Object.entries(places)) {
			const memory = this.#memory.get(room);
			if (!memory) throw new Error(`there is no shared room ${room}`);
			message[field] = new Uint8Array(memory, at, lengthBytes);
		}
		return message;
	}
}
