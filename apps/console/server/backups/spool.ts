import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { formatBytes } from "@sterna/shared/units";

/**
 * What all spools of this console may hold together, on its disk. Each may hold as much as is left for others: one alone
 * takes half, and however many readers have stopped, one that keeps up finds room.
 */
export class SpoolBudget {
	limitBytes: number;
	usedBytes = 0;

	constructor(limitBytes: number) {
		this.limitBytes = limitBytes;
	}
}

export interface SpoolSizes {
	/** Of one file of the spool; what was read is freed in such steps. */
	segmentBytes: number;
	/** What may wait in memory for a slow disk. */
	unwrittenBytes: number;
}

const spoolSizes: SpoolSizes = { segmentBytes: 16 * 1024 * 1024, unwrittenBytes: 64 * 1024 * 1024 };
const pieceBytes = 256 * 1024;

interface Segment {
	path: string;
	/** Taken over; as many as `writtenBytes` once the disk has them. */
	sizeBytes: number;
	writtenBytes: number;
}

/**
 * Bytes on their way from a sender that must not wait to a reader that may be slow, in files of a folder of their own. What
 * was read is deleted, so that only the reader's arrears take place, however long the whole is; they are bounded.
 */
export class Spool {
	readonly #folder: string;
	readonly #budget: SpoolBudget;
	readonly #sizes: SpoolSizes;
	readonly #segments: Segment[] = [];
	#made = 0;
	#unwrittenBytes = 0;
	#heldBytes = 0;
	#writing: Promise<void>;
	#isOver = false;
	readonly #failed = new AbortController();
	#failure: SternaError | null = null;
	#wake: () => void = () => {};

	constructor(folder: string, budget: SpoolBudget, sizes: SpoolSizes = spoolSizes) {
		this.#folder = folder;
		this.#budget = budget;
		this.#sizes = sizes;
		this.#writing = mkdir(folder, { recursive: true, mode: 0o700 }).then(() => {});
		this.#writing.catch((cause) => this.fail(notWritten(cause)));
	}

	/** Aborted with the error that the reader gets, for a reader that waits for something else than the next piece. */
	get failed(): AbortSignal {
		return this.#failed.signal;
	}

	/** Takes bytes over. False: the spool has failed, nothing more is taken, and the reader is told why. */
	append(bytes: Buffer): boolean {
		if (this.#isOver || this.#failure) return false;
		const leftBytes = this.#budget.limitBytes - this.#budget.usedBytes;
		if (this.#heldBytes + bytes.length > leftBytes) {
			this.fail(this.#noRoom());
			return false;
		}
		if (this.#unwrittenBytes + bytes.length > this.#sizes.unwrittenBytes) {
			this.fail(new SternaError("no_capacity", "the console's disk is too slow to gather the file on"));
			return false;
		}
		this.#budget.usedBytes += bytes.length;
		this.#heldBytes += bytes.length;
		this.#unwrittenBytes += bytes.length;
		const segment = this.#segmentToFill();
		segment.sizeBytes += bytes.length;
		this.#writing = this.#writing.then(() => this.#write(segment, bytes));
		this.#writing.catch((cause) => this.fail(notWritten(cause)));
		return true;
	}

	/** Nothing more comes. */
	end(): void {
		this.#isOver = true;
		this.#wake();
	}

	/** The reader gets this error instead of the rest. */
	fail(error: SternaError): void {
		this.#failure ??= error;
		this.#failed.abort(this.#failure);
		this.#wake();
	}

	/** Everything, in order, as it comes; for one reader. @throws {SternaError} what `fail` was told; `no_capacity`. */
	async *pieces(): AsyncGenerator<Buffer> {
		for (;;) {
			const segment = this.#segments[0];
			if (segment) {
				yield* this.#piecesOf(segment);
				await rm(segment.path, { force: true });
				this.#segments.shift();
				this.#giveBack(segment.sizeBytes);
			} else if (this.#isOver && !this.#failure) return;
			else await this.#more();
		}
	}

	/** Deletes what is left of it. */
	async close(): Promise<void> {
		this.fail(new SternaError("cancelled", "the download is over"));
		await this.#writing.catch(() => {});
		await rm(this.#folder, { recursive: true, force: true });
		this.#giveBack(this.#heldBytes);
	}

	async *#piecesOf(segment: Segment): AsyncGenerator<Buffer> {
		let file: FileHandle | null = null;
		try {
			for (let position = 0; ; ) {
				const isWhole = position === segment.sizeBytes && (this.#isOver || segment !== this.#segments.at(-1));
				if (isWhole && !this.#failure) return;
				const wantedBytes = Math.min(pieceBytes, segment.writtenBytes - position);
				if (wantedBytes === 0 || this.#failure) {
					await this.#more();
					continue;
				}
				file ??= await open(segment.path, "r");
				const { bytesRead, buffer } = await file.read(Buffer.alloc(wantedBytes), 0, wantedBytes, position);
				position += bytesRead;
				yield buffer.subarray(0, bytesRead);
			}
		} finally {
			await file?.close();
		}
	}

	async #write(segment: Segment, bytes: Buffer): Promise<void> {
		if (!this.#failure) {
			const file = await open(segment.path, "a", 0o600);
			try {
				await file.writeFile(bytes);
			} finally {
				await file.close();
			}
			segment.writtenBytes += bytes.length;
		}
		this.#unwrittenBytes -= bytes.length;
		this.#wake();
	}

	#segmentToFill(): Segment {
		const last = this.#segments.at(-1);
		if (last && last.sizeBytes < this.#sizes.segmentBytes) return last;
		const segment = { path: join(this.#folder, String(this.#made++)), sizeBytes: 0, writtenBytes: 0 };
		this.#segments.push(segment);
		return segment;
	}

	/** Fulfilled when something has changed. @throws what the spool failed with. */
	async #more(): Promise<void> {
		if (this.#failure) throw this.#failure;
		await new Promise<void>((resolve) => {
			this.#wake = resolve;
		});
		if (this.#failure) throw this.#failure;
	}

	/** A reader that keeps up holds the segment that it reads and the one that is filled: the fault is not its own. */
	#noRoom(): SternaError {
		const heldBytes = this.#heldBytes;
		if (heldBytes <= 2 * this.#sizes.segmentBytes)
			return new SternaError("no_capacity", "the console's disk has no room to gather the file on", {
				cure: "make room on the console's disk, or wait until other downloads are over",
			});
		return new SternaError("no_capacity", `the reader is too slow: ${formatBytes(heldBytes)} wait for it already`, {
			cure: "download from a faster line, or restore the disk instead of the file",
		});
	}

	#giveBack(bytes: number): void {
		this.#heldBytes -= bytes;
		this.#budget.usedBytes -= bytes;
	}
}

function notWritten(cause: unknown): SternaError {
	return new SternaError("unavailable", "the file could not be gathered on the console's disk", { cause });
}
