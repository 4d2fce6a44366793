import { stat, truncate } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { SternaError } from "@sterna/shared/errors";

export const maxSerialLogBytes = 8 * 1024 * 1024;
const checkEveryBytes = 1024 * 1024;
/** Typed ahead, waiting for a guest that does not read. */
const maxWaitingBytes = 64 * 1024;

/**
 * The serial line of one guest: input goes through the socket; output goes to the log that QEMU itself writes, so that
 * it is kept while no agent runs. What comes out of the socket is thrown away, or the guest would stand still.
 */
export class SerialLine {
	readonly #socket: Socket;
	#unchecked = checkEveryBytes;

	constructor(socketPath: string, logPath: string) {
		this.#socket = connect(socketPath);
		this.#socket.on("data", (chunk: Buffer) => {
			this.#unchecked += chunk.length;
			if (this.#unchecked < checkEveryBytes) return;
			this.#unchecked = 0;
			void limitLog(logPath);
		});
		// The line ends with the process; who writes hears it then.
		this.#socket.on("error", () => undefined);
	}

	/** @throws {SternaError} `unavailable` when the guest's process is gone or too much input waits; `timeout` when it takes no input. */
	write(data: Uint8Array): Promise<void> {
		return new Promise((fulfil, reject) => {
			if (this.#socket.writableLength + data.length > maxWaitingBytes) {
				return reject(new SternaError("unavailable", "the guest does not read its serial line; input was dropped"));
			}
			const timer = setTimeout(() => reject(new SternaError("timeout", "the guest takes no serial input")), 5000);
			this.#socket.write(data, (cause) => {
				clearTimeout(timer);
				if (cause) reject(new SternaError("unavailable", "the guest's serial line is closed", { cause }));
				else fulfil();
			});
		});
	}

	close(): void {
		this.#socket.destroy();
	}
}

/** Best effort: a log that cannot be cut only grows. */
async function limitLog(path: string): Promise<void> {
	const file = await stat(path).catch(() => null);
	if (file && file.size > maxSerialLogBytes) await truncate(path, 0).catch(() => undefined);
}
