/**
 * One side's understanding of what the other side sends: it yields the memory that the next bytes belong into and goes on
 * when that is full. Written like a conversation, it knows nothing of packets; what it throws ends the connection.
 */
export type Listening<Result = void> = Generator<Uint8Array, Result, void>;

const spareBytes = 64 * 1024;

/** `count` bytes of their own. */
export function* take(count: number): Listening<Buffer> {
	const bytes = Buffer.allocUnsafe(count);
	yield bytes;
	return bytes;
}

/** Brings arriving bytes to where they belong, large payloads without a copy. */
export class Intake {
	readonly #listening: Listening<unknown>;
	readonly #spare = Buffer.allocUnsafeSlow(spareBytes);
	#target: Uint8Array = new Uint8Array(0);
	#filledBytes = 0;
	#ended = false;

	constructor(listening: Listening<unknown>) {
		this.#listening = listening;
		this.#goOn();
	}

	/** Memory for the next bytes to arrive: their own place when it is large, else one that is copied from. */
	space(): Uint8Array {
		const rest = this.#target.length - this.#filledBytes;
		return !this.#ended && rest >= spareBytes ? this.#target.subarray(this.#filledBytes) : this.#spare;
	}

	/** `count` bytes are now at the beginning of `space`, which is what `space()` gave. */
	arrived(space: Uint8Array, count: number): void {
		if (space === this.#spare) {
			this.feed(this.#spare.subarray(0, count));
		} else {
			this.#filledBytes += count;
			this.#goOn();
		}
	}

	/** Takes bytes that are somewhere else. What comes after the end of the conversation is dropped. */
	feed(bytes: Uint8Array): void {
		let position = 0;
		while (position < bytes.length && !this.#ended) {
			const count = Math.min(bytes.length - position, this.#target.length - this.#filledBytes);
			this.#target.set(bytes.subarray(position, position + count), this.#filledBytes);
			position += count;
			this.#filledBytes += count;
			this.#goOn();
		}
	}

	#goOn(): void {
		while (!this.#ended && this.#filledBytes === this.#target.length) {
			const next = this.#listening.next();
			this.#ended = next.done === true;
			this.#target = next.done ? new Uint8Array(0) : next.value;
			this.#filledBytes = 0;
		}
	}
}
