import type { Duplex } from "node:stream";
import { maxFrameLength } from "@sterna/shared/protocol/messages";
import type { Wire } from "@sterna/shared/protocol/rpc";

/** A reader that leaves more than this unread is given up: it must not grow our memory. */
export const maxBufferedBytes = 16 * 1024 * 1024;

const newline = 10;

/** Newline-delimited texts over a byte stream: the wire of peers and of the local command line. */
export class LineWire implements Wire {
	readonly #stream: Duplex;
	#parts: Buffer[] = [];
	#partBytes = 0;

	constructor(stream: Duplex, onText: (text: string) => void) {
		this.#stream = stream;
		stream.on("data", (chunk: Buffer) => this.#take(chunk, onText));
	}

	send(text: string): void {
		if (this.#stream.writable) this.#stream.write(`${text}\n`);
		if (this.#stream.writableLength > maxBufferedBytes) this.close("the other side does not read");
	}

	close(reason: string): void {
		this.#stream.destroy(new Error(reason));
	}

	drained(): Promise<void> {
		return drained(this.#stream);
	}

	#take(chunk: Buffer, onText: (text: string) => void): void {
		let start = 0;
		for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
			const line = Buffer.concat([...this.#parts, chunk.subarray(start, end)]);
			this.#parts = [];
			this.#partBytes = 0;
			start = end + 1;
			if (this.#stream.destroyed) return;
			onText(line.toString("utf8"));
		}
		const rest = chunk.subarray(start);
		this.#parts.push(rest);
		this.#partBytes += rest.length;
		if (this.#partBytes > maxFrameLength) this.close("a frame is too long");
	}
}

/** Fulfilled when the stream takes more, or is gone. */
function drained(stream: Duplex): Promise<void> {
	if (!stream.writableNeedDrain || stream.destroyed) return Promise.resolve();
	return new Promise((resolve) => {
		const done = () => {
			stream.off("drain", done);
			stream.off("close", done);
			resolve();
		};
		stream.on("drain", done);
		stream.on("close", done);
	});
}
