import { SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";

/** The longest answer of any command that is used is the schema's, a quarter of a mebibyte; beyond this something is wrong. */
export const maxFrameBytes = 16 * 1024 * 1024;

/**
 * Cuts a QMP byte stream into its messages: one JSON object per line (docs/interop/qmp-spec of QEMU, "Protocol
 * Specification"). Bytes may arrive in any pieces.
 */
export class FrameReader {
	#pieces: Buffer[] = [];
	#length = 0;

	/**
	 * The messages completed by `chunk`, parsed but not yet known to be anything.
	 * @throws {SternaError} `invalid` for a frame that is too long or no JSON.
	 */
	read(chunk: Buffer): unknown[] {
		const messages: unknown[] = [];
		let rest = chunk;
		for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
			this.#keep(rest.subarray(0, end));
			const line = Buffer.concat(this.#pieces).toString("utf8").trim();
			this.#pieces = [];
			this.#length = 0;
			if (line !== "") messages.push(parseJson(line, { maxLength: maxFrameBytes, maxDepth: 64 }));
			rest = rest.subarray(end + 1);
		}
		this.#keep(rest);
		return messages;
	}

	#keep(piece: Buffer): void {
		this.#length += piece.length;
		if (this.#length > maxFrameBytes) {
			throw new SternaError("invalid", `a message of the monitor is longer than ${maxFrameBytes} bytes`);
		}
		if (piece.length > 0) this.#pieces.push(piece);
	}
}
