import { watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";

const chunkBytes = 64 * 1024;
/** Not every filesystem tells of changes: look at least this often. */
const lookPeriodMs = 1000;

export interface SerialChunk {
	/** Where in the log `data` begins. */
	offset: number;
	/** Base64. */
	data: string;
}

/**
 * The guest's serial log from `fromOffset`, then what comes, until the guest is over and all is sent. A log that was
 * truncated meanwhile is followed from its new beginning.
 */
export async function* followSerialLog(options: {
	path: string;
	fromOffset: number;
	/** False when nothing more will be written. */
	isAlive: () => boolean;
	/** Calls back when `isAlive` may have changed; returns the way to stop. */
	onChange: (listener: () => void) => () => void;
	signal: AbortSignal;
}): AsyncGenerator<SerialChunk> {
	const { path, isAlive, signal } = options;
	const bell = new Bell();
	const stops = [options.onChange(() => bell.ring()), watchFile(path, () => bell.ring())];
	const onAbort = () => bell.ring();
	signal.addEventListener("abort", onAbort, { once: true });
	let offset = options.fromOffset;
	try {
		while (!signal.aborted) {
			const alive = isAlive();
			const chunk = await readFrom(path, offset);
			if (chunk === "truncated") offset = 0;
			else if (chunk.length > 0) {
				yield { offset, data: chunk.toString("base64") };
				offset += chunk.length;
			} else if (!alive) return;
			else await bell.heard(lookPeriodMs);
		}
	} finally {
		signal.removeEventListener("abort", onAbort);
		for (const stop of stops) stop();
	}
}

async function readFrom(path: string, offset: number): Promise<Buffer | "truncated"> {
	let file: FileHandle;
	try {
		file = await open(path, "r");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0);
		throw error;
	}
	try {
		if ((await file.stat()).size < offset) return "truncated";
		const buffer = Buffer.alloc(chunkBytes);
		const { bytesRead } = await file.read(buffer, 0, chunkBytes, offset);
		return buffer.subarray(0, bytesRead);
	} finally {
		await file.close();
	}
}

/** Watches the folder, because the file may not be there yet. A folder that is not there or cannot be watched is left to looking. */
function watchFile(path: string, onChange: () => void): () => void {
	try {
		const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
			if (name === null || name === basename(path)) onChange();
		});
		watcher.on("error", () => watcher.close());
		return () => watcher.close();
	} catch {
		return () => {};
	}
}

/** Remembers a ring that came while nobody listened. */
class Bell {
	#rung = false;
	#wake: (() => void) | null = null;

	ring(): void {
		this.#rung = true;
		this.#wake?.();
	}

	async heard(timeoutMs: number): Promise<void> {
		if (!this.#rung) {
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, timeoutMs);
				timer.unref();
				this.#wake = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		}
		this.#wake = null;
		this.#rung = false;
	}
}
