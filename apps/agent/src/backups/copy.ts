import { planReads, type ReadPiece } from "@sterna/backup/plan-reads";
import type { NbdClient } from "@sterna/nbd/nbd";
import type { VolumeWriter } from "@sterna/repository/repository";
import { MiB } from "@sterna/shared/units";

/** One request: large enough that asking costs nothing, small enough that several are on their way at once. */
const requestBytes = MiB;
const inFlight = 8;

export interface CopyVolume {
	/** A client of the instant's export, connected with `base:allocation` and, when there is one, the context of the changes. */
	client: Pick<NbdClient, "read" | "extents">;
	/** The context of what changed; null when everything is read. */
	changes: string | null;
	sizeBytes: number;
	blockSizeBytes: number;
	writer: Pick<VolumeWriter, "write" | "zero">;
	/** Fulfilled when so many bytes may be read. @throws why the run was cancelled. */
	turn(bytes: number): Promise<void>;
	onRead(bytes: number): void;
}

/**
 * Copies one disk of an instant into a session: what changed and is data is read, what became zeros is told without being
 * read, the rest is not touched. Several requests are on their way at once; the writer gets them in rising order.
 */
export async function copyVolume(copy: CopyVolume): Promise<void> {
	const { client, changes, sizeBytes, blockSizeBytes, writer } = copy;
	const pieces = planReads({
		sizeBytes,
		blockSizeBytes,
		allocation: client.extents("base:allocation", 0, sizeBytes),
		changes: changes === null ? null : client.extents(changes, 0, sizeBytes),
	});
	/** Memory of requests that are written, for the next ones: a GiB of new memory would keep the collector busy. */
	const spare: Uint8Array[] = [];
	/** The writing of what was asked for, each after the one before it, beside the asking. */
	const writing: Promise<void>[] = [];
	let written = Promise.resolve();
	const zero = async ({ offset, lengthBytes }: ReadPiece, before: Promise<void>) => {
		await before;
		await writer.zero(offset, lengthBytes);
	};
	const readAndWrite = async ({ offset, lengthBytes }: ReadPiece, before: Promise<void>) => {
		const memory = spare.pop() ?? new Uint8Array(Math.max(requestBytes, blockSizeBytes));
		const data = client.read(offset, lengthBytes, memory);
		await Promise.allSettled([before, data]);
		await before;
		await writer.write(offset, await data);
		spare.push(memory);
		copy.onRead(lengthBytes);
	};
	try {
		for await (const piece of requests(pieces, blockSizeBytes)) {
			if (writing.length >= inFlight) await writing.shift();
			if (piece.do === "read") await turnOrFailure(copy.turn(piece.lengthBytes), written);
			written = piece.do === "read" ? readAndWrite(piece, written) : zero(piece, written);
			// Whoever waits for the first of them learns of a failure; the others must not end the process.
			written.catch(() => {});
			writing.push(written);
		}
		await written;
	} finally {
		// When this is over nobody reads the instant or writes into the session any more.
		await written.catch(() => {});
	}
}

/** A turn may take long: what arrives meanwhile is written, and what fails is heard at once. */
function turnOrFailure(turn: Promise<void>, written: Promise<void>): Promise<void> {
	return Promise.race([turn, written.then(() => turn)]);
}

/** What is to be read, cut into requests of whole blocks; zeros stay as long as they are. */
async function* requests(pieces: AsyncIterable<ReadPiece>, blockSizeBytes: number): AsyncGenerator<ReadPiece> {
	const step = Math.max(blockSizeBytes, requestBytes - (requestBytes % blockSizeBytes));
	for await (const piece of pieces) {
		if (piece.do === "leave") continue;
		if (piece.do === "zero") {
			yield piece;
			continue;
		}
		const end = piece.offset + piece.lengthBytes;
		for (let offset = piece.offset; offset < end; offset += step) {
			yield { offset, lengthBytes: Math.min(step, end - offset), do: "read" };
		}
	}
}
