/** What a dynamically linked program needs to start. */
export interface DynamicNeeds {
	/** Path of the program loader, "/lib64/ld-linux-x86-64.so.2"; null in a library and in a static program. */
	loader: string | null;
	/** File names of the libraries, "libc.so.6". */
	libraries: string[];
}

const programHeader = { load: 1, dynamic: 2, interpreter: 3 };
const dynamicTag = { end: 0n, needed: 1n, stringTable: 5n };

/**
 * Reads what a 64-bit little-endian ELF file names as its loader and libraries (System V ABI, "Program Header" and
 * "Dynamic Section"). Throws RangeError when it is cut short, TypeError when it is no such file.
 */
export function readDynamicNeeds(file: Uint8Array): DynamicNeeds {
	const elf = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
	if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1)
		throw new TypeError("not a 64-bit little-endian ELF file");
	const segments = readSegments(elf);
	const interpreter = segments.find((segment) => segment.type === programHeader.interpreter);
	const loader = interpreter ? text(elf, interpreter.offset) : null;
	const dynamic = segments.find((segment) => segment.type === programHeader.dynamic);
	if (!dynamic) return { loader, libraries: [] };

	const entries: { tag: bigint; value: bigint }[] = [];
	for (let at = dynamic.offset; at < dynamic.offset + dynamic.sizeBytes; at += 16) {
		const tag = elf.readBigUInt64LE(at);
		if (tag === dynamicTag.end) break;
		entries.push({ tag, value: elf.readBigUInt64LE(at + 8) });
	}
	const table = entries.find((entry) => entry.tag === dynamicTag.stringTable);
	if (!table) throw new TypeError("an ELF file with a dynamic section and no string table");
	const tableOffset = fileOffset(segments, Number(table.value));
	const needed = entries.filter((entry) => entry.tag === dynamicTag.needed);
	return { loader, libraries: needed.map((entry) => text(elf, tableOffset + Number(entry.value))) };
}

interface Segment {
	type: number;
	offset: number;
	address: number;
	sizeBytes: number;
}

function readSegments(elf: Buffer): Segment[] {
	const table = Number(elf.readBigUInt64LE(32));
	const entryBytes = elf.readUInt16LE(54);
	return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => {
		const at = table + index * entryBytes;
		return {
			type: elf.readUInt32LE(at),
			offset: Number(elf.readBigUInt64LE(at + 8)),
			address: Number(elf.readBigUInt64LE(at + 16)),
			sizeBytes: Number(elf.readBigUInt64LE(at + 32)),
		};
	});
}

/** Where in the file the byte lies that is loaded at `address`. */
function fileOffset(segments: Segment[], address: number): number {
	const segment = segments.find(
		({ type, address: from, sizeBytes }) =>
			type === programHeader.load && from <= address && address < from + sizeBytes,
	);
	if (!segment) throw new TypeError("an ELF file whose string table is in no segment");
	return segment.offset + address - segment.address;
}

function text(elf: Buffer, from: number): string {
	const end = elf.indexOf(0, from);
	if (from >= elf.length || end < 0) throw new RangeError("an ELF file whose strings are cut short");
	return elf.toString("utf8", from, end);
}
