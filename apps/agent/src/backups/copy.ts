import { planReads, type ReadPiece } from "@sterna/backup/plan-reads";
import type { NbdClient } from "@sterna/nbd/nbd";
import type { VolumeWriter } from "@sterna/repository/repository";
import { MiB } from "@sterna/shared/units";

/** One request: large enough that asking costs nothing, small enough that several are on their way at once. */
const requestBytes = MiB;
const inFlight = 8;

export interface CopyVolume {
	/** A client of the instant's export, connected with `base:allocation` and, when there is one, the context of the changes. */
	client: NbdClient;
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
	const waiting: { piece: ReadPiece; data: Promise<Uint8Array> | null }[] = [];
	const writeFirst = async () => {
		const first = waiting.shift();
		if (!first) return;
		const { piece, data } = first;
		if (data === null) return writer.zero(piece.offset, piece.lengthBytes);
		await writer.write(piece.offset, await data);
		copy.onRead(piece.lengthBytes);
	};
	try {
		for await (const piece of requests(pieces, blockSizeBytes)) {
			if (waiting.length >= inFlight) await writeFirst();
			if (piece.do === "read") await copy.turn(piece.lengthBytes);
			const data = piece.do === "read" ? client.read(piece.offset, piece.lengthBytes) : null;
			// Whoever waits for the first of them learns of a failure; the others must not end the process.
			data?.catch(() => {});
			waiting.push({ piece, data });
		}
		while (waiting.length > 0) await writeFirst();
	} finally {
		await Promise.allSettled(waiting.map(({ data }) => data));
	}
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
