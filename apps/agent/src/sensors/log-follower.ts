import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Reads what was added to a log since the last call. */
export interface LogFollower {
	/** Whole lines, oldest first; at most about a mebibyte per call. */
	readNew(): Promise<string[]>;
	close(): Promise<void>;
}

const recordBytes = 16 * 1024;
const maxBytesPerCall = 1024 * 1024;

/**
 * Follows `/dev/kmsg`, where every read gives one record and EAGAIN marks the end (kernel
 * Documentation/ABI/testing/dev-kmsg), or a plain growing file in its place. Null when it cannot be opened.
 */
export async function followKernelLog(path: string): Promise<LogFollower | null> {
	try {
		const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
		return (await file.stat()).isCharacterDevice() ? followDevice(file) : followFile(file);
	} catch {
		return null;
	}
}

function followDevice(file: FileHandle): LogFollower {
	const buffer = Buffer.alloc(recordBytes);
	return {
		async readNew() {
			const lines: string[] = [];
			for (let length = 0; length < maxBytesPerCall; ) {
				try {
					const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
					if (bytesRead === 0) break;
					length += bytesRead;
					// Behind the first line of a record stand its properties, each after a space.
					lines.push(buffer.toString("utf8", 0, bytesRead).split("\n", 1)[0] ?? "");
				} catch (error) {
					// EPIPE: records were overwritten before we read them; reading goes on with the oldest there is.
					if (codeOf(error) === "EPIPE") continue;
					if (codeOf(error) === "EAGAIN") break;
					throw error;
				}
			}
			return lines;
		},
		close: () => file.close(),
	};
}

function followFile(file: FileHandle): LogFollower {
	const buffer = Buffer.alloc(maxBytesPerCall);
	let offset = 0;
	return {
		async readNew() {
			if ((await file.stat()).size < offset) offset = 0;
			const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
			const end = buffer.subarray(0, bytesRead).lastIndexOf("\n");
			if (end < 0) {
				// A mebibyte without a line end is no log; what is shorter may still be growing.
				if (bytesRead === buffer.length) offset += bytesRead;
				return [];
			}
			offset += end + 1;
			return buffer.toString("utf8", 0, end).split("\n");
		},
		close: () => file.close(),
	};
}

function codeOf(error: unknown): unknown {
	return error instanceof Error && "code" in error ? error.code : undefined;
}
