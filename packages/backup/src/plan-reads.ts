/** A piece of a disk as NBD's block status tells it; pieces come in order and without gaps. */
export interface StatusExtent {
	offset: number;
	lengthBytes: number;
	flags: number;
}

/** What is to be done with a piece: read it, write zeros without reading, or leave what the parent has. */
export interface ReadPiece {
	offset: number;
	lengthBytes: number;
	do: "read" | "zero" | "leave";
}

/** `base:allocation`: the piece reads as zeros. https://github.com/NetworkBlockDevice/nbd, doc/proto.md, "Metadata querying". */
const zeroFlag = 2;
/** `qemu:dirty-bitmap`: the piece was written. QEMU, docs/interop/nbd.rst. */
const dirtyFlag = 1;

/**
 * Lays what changed over what is data, and gives whole blocks of the repository: a block of which one byte changed is
 * read, and zeros are told only of blocks that are zeros from end to end. `changes` null: everything changed.
 */
export async function* planReads(disk: {
	sizeBytes: number;
	blockSizeBytes: number;
	allocation: AsyncIterable<StatusExtent>;
	changes: AsyncIterable<StatusExtent> | null;
}): AsyncGenerator<ReadPiece> {
	const { blockSizeBytes, sizeBytes } = disk;
	let open: ReadPiece | null = null;
	/** What the pieces of the block that is begun have in common so far. */
	const block = { changed: false, zero: true };

	function* close(what: ReadPiece["do"], offset: number, lengthBytes: number): Generator<ReadPiece> {
		if (open?.do === what) {
			open.lengthBytes += lengthBytes;
			return;
		}
		if (open) yield open;
		open = { offset, lengthBytes, do: what };
	}

	for await (const { offset, end, changed, zero } of overlay(disk)) {
		let at = offset;
		while (at < end) {
			const blockStart = at - (at % blockSizeBytes);
			const blockEnd = Math.min(blockStart + blockSizeBytes, sizeBytes);
			if (at === blockStart && end >= blockEnd) {
				// Whole blocks of one kind, as many as there are.
				const whole = end === sizeBytes ? end : end - (end % blockSizeBytes);
				yield* close(whatFor(changed, zero), at, whole - at);
				at = whole;
				continue;
			}
			block.changed ||= changed;
			block.zero &&= zero;
			at = Math.min(end, blockEnd);
			if (at === blockEnd) {
				yield* close(whatFor(block.changed, block.zero), blockStart, blockEnd - blockStart);
				Object.assign(block, { changed: false, zero: true });
			}
		}
	}
	if (open) yield open;
}

function whatFor(changed: boolean, zero: boolean): ReadPiece["do"] {
	if (!changed) return "leave";
	return zero ? "zero" : "read";
}

/** Both maps as one: pieces in order, of one kind each. */
async function* overlay({
	sizeBytes,
	allocation,
	changes,
}: {
	sizeBytes: number;
	allocation: AsyncIterable<StatusExtent>;
	changes: AsyncIterable<StatusExtent> | null;
}): AsyncGenerator<{ offset: number; end: number; changed: boolean; zero: boolean }> {
	const zeros = walk(allocation);
	const dirty = changes && walk(changes);
	let offset = 0;
	while (offset < sizeBytes) {
		const data = await zeros.at(offset);
		const change = (await dirty?.at(offset)) ?? { end: sizeBytes, flags: dirtyFlag };
		const end = Math.min(data.end, change.end, sizeBytes);
		yield { offset, end, changed: (change.flags & dirtyFlag) !== 0, zero: (data.flags & zeroFlag) !== 0 };
		offset = end;
	}
}

/** Gives the extent at an offset that only rises. Where the map ends early the rest counts as written data: it is read. */
function walk(extents: AsyncIterable<StatusExtent>) {
	const iterator = extents[Symbol.asyncIterator]();
	let current: StatusExtent | null = null;
	return {
		async at(offset: number): Promise<{ end: number; flags: number }> {
			while (current === null || current.offset + current.lengthBytes <= offset) {
				const next = await iterator.next();
				if (next.done) return { end: Number.POSITIVE_INFINITY, flags: dirtyFlag };
				current = next.value;
			}
			return { end: current.offset + current.lengthBytes, flags: current.flags };
		},
	};
}
