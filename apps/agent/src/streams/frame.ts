import { SternaError } from "@sterna/shared/errors";

/**
 * What travels on one stream between two agents, inside TLS: frames of one byte type, three bytes big-endian length, and
 * that many bytes. Data is framed, not spliced raw, so that heartbeats can pass beside it and a stream that was cut is
 * never taken for one that ended.
 *
 *   source                     target
 *     ticket  ─────────────▶           first frame, within a deadline; anything else is cut
 *             ◀─────────────  accepted
 *     open    ─────────────▶           QEMU has connected here: connect to QEMU there
 *     data    ◀────────────▶  data
 *     end     ◀────────────▶  end      QEMU has closed this direction; both: the stream is finished
 *     heartbeat ◀──────────▶ heartbeat whenever nothing else was sent
 */
export const frameTypes = ["ticket", "accepted", "open", "data", "end", "heartbeat"] as const;
export type FrameType = (typeof frameTypes)[number];

export const headerBytes = 4;
export const ticketBytes = 32;
/** Largest data frame; what a unix socket gives in one read is far below. */
export const maxDataBytes = 1024 * 1024;

/** The four bytes before a frame's content. */
export function frameHeader(type: FrameType, length = 0): Buffer {
	const header = Buffer.alloc(headerBytes);
	header.writeUInt8(frameTypes.indexOf(type) + 1, 0);
	header.writeUIntBE(length, 1, 3);
	return header;
}

export interface FrameSink {
	/** A whole frame without data. */
	frame(type: Exclude<FrameType, "data">, content: Buffer): void;
	/** A piece of a data frame, as it arrives. */
	data(piece: Buffer): void;
}

/** Cuts what arrives on one stream into frames. Data is passed on piece by piece, never gathered. */
export class FrameReader {
	readonly #sink: FrameSink;
	#gathered = Buffer.alloc(0);
	#dataLeft = 0;

	constructor(sink: FrameSink) {
		this.#sink = sink;
	}

	/** @throws {SternaError} `invalid` when the other side breaks the form; the stream must be cut then. */
	push(chunk: Buffer): void {
		let rest = chunk;
		while (rest.length > 0) {
			if (this.#dataLeft > 0) {
				const piece = rest.subarray(0, this.#dataLeft);
				this.#dataLeft -= piece.length;
				rest = rest.subarray(piece.length);
				this.#sink.data(piece);
				continue;
			}
			const bytes = this.#gathered.length > 0 ? Buffer.concat([this.#gathered, rest]) : rest;
			const frame = readFrame(bytes);
			if (!frame) {
				this.#gathered = Buffer.from(bytes);
				return;
			}
			this.#gathered = Buffer.alloc(0);
			rest = bytes.subarray(frame.usedBytes);
			if (frame.type === "data") this.#dataLeft = frame.length;
			else this.#sink.frame(frame.type, frame.content);
		}
	}
}

/** The frame at the beginning of `bytes`; null while it is incomplete. Of a data frame only the header is taken. */
function readFrame(bytes: Buffer): { type: FrameType; length: number; content: Buffer; usedBytes: number } | null {
	if (bytes.length < headerBytes) return null;
	const type = frameTypes[bytes.readUInt8(0) - 1];
	const length = bytes.readUIntBE(1, 3);
	if (type === undefined) throw new SternaError("invalid", `a stream carried a frame of unknown type ${bytes[0]}`);
	if (type === "data") {
		if (length > maxDataBytes) throw new SternaError("invalid", `a stream carried a data frame of ${length} bytes`);
		return { type, length, content: Buffer.alloc(0), usedBytes: headerBytes };
	}
	if (length !== (type === "ticket" ? ticketBytes : 0)) {
		throw new SternaError("invalid", `a stream carried a ${type} frame of ${length} bytes`);
	}
	if (bytes.length < headerBytes + length) return null;
	const content = Buffer.from(bytes.subarray(headerBytes, headerBytes + length));
	return { type, length, content, usedBytes: headerBytes + length };
}
