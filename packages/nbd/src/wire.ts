/** Numbers and layouts of the protocol. Source: https://github.com/NetworkBlockDevice/nbd, doc/proto.md. Big endian all through. */

export const serverMagic = 0x4e42444d41474943n;
export const optionMagic = 0x49484156454f5054n;
export const optionReplyMagic = 0x0003e889045565a9n;
export const requestMagic = 0x25609513;
export const structuredReplyMagic = 0x668e33ef;

/** Of the server's greeting and the client's answer to it. */
export const handshakeFlags = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const option = { abort: 2, list: 3, info: 6, go: 7, structuredReply: 8, listMetaContext: 9, setMetaContext: 10 };

export const optionReply = {
	ack: 1,
	server: 2,
	info: 3,
	metaContext: 4,
	/** This bit says that the option failed. */
	error: 0x8000_0000,
	unsupported: 0x8000_0001,
	policy: 0x8000_0002,
	invalid: 0x8000_0003,
	unknown: 0x8000_0006,
};

export const info = { export: 0, blockSize: 3 } as const;

export const transmissionFlags = { hasFlags: 1, readOnly: 2, canMultiConn: 1 << 8 } as const;

export const command = { read: 0, disconnect: 2, blockStatus: 7 } as const;

/** Of a block status: one extent is enough. */
export const requestOneExtent = 1 << 3;

export const chunk = {
	none: 0,
	offsetData: 1,
	offsetHole: 2,
	blockStatus: 5,
	/** This bit says that the request failed. */
	error: 0x8000,
	errorWithOffset: 0x8002,
	/** Flag: no further chunk belongs to this request. */
	done: 1,
};

export const errorNumber = { io: 5, invalid: 22, overflow: 75, notSupported: 95, shutdown: 108 } as const;

/** Of `base:allocation`. */
export const allocation = { hole: 1, zero: 2 } as const;

export const requestBytes = 28;
export const chunkHeaderBytes = 20;
export const optionHeaderBytes = 16;
export const optionReplyHeaderBytes = 20;

/** The largest payload that every peer must take (doc/proto.md, "Block size constraints"). */
export const maxPayloadBytes = 32 * 1024 * 1024;
export const maxNameBytes = 4096;

export interface Request {
	flags: number;
	command: number;
	cookie: bigint;
	offset: bigint;
	lengthBytes: number;
}

export function encodeRequest(request: Request): Buffer {
	const bytes = Buffer.allocUnsafe(requestBytes);
	bytes.writeUInt32BE(requestMagic, 0);
	bytes.writeUInt16BE(request.flags, 4);
	bytes.writeUInt16BE(request.command, 6);
	bytes.writeBigUInt64BE(request.cookie, 8);
	bytes.writeBigUInt64BE(request.offset, 16);
	bytes.writeUInt32BE(request.lengthBytes, 24);
	return bytes;
}

/** Null when it does not begin as a request. */
export function decodeRequest(bytes: Buffer): Request | null {
	if (bytes.readUInt32BE(0) !== requestMagic) return null;
	return {
		flags: bytes.readUInt16BE(4),
		command: bytes.readUInt16BE(6),
		cookie: bytes.readBigUInt64BE(8),
		offset: bytes.readBigUInt64BE(16),
		lengthBytes: bytes.readUInt32BE(24),
	};
}

/** The header of one structured reply chunk. */
export interface ChunkHeader {
	flags: number;
	type: number;
	cookie: bigint;
	payloadBytes: number;
}

/** The header, and behind it `room` bytes for the beginning of the payload. */
export function encodeChunk(header: ChunkHeader, room = 0): Buffer {
	const bytes = Buffer.allocUnsafe(chunkHeaderBytes + room);
	bytes.writeUInt32BE(structuredReplyMagic, 0);
	bytes.writeUInt16BE(header.flags, 4);
	bytes.writeUInt16BE(header.type, 6);
	bytes.writeBigUInt64BE(header.cookie, 8);
	bytes.writeUInt32BE(header.payloadBytes, 16);
	return bytes;
}

/** Null when it does not begin as a structured reply. */
export function decodeChunk(bytes: Buffer): ChunkHeader | null {
	if (bytes.readUInt32BE(0) !== structuredReplyMagic) return null;
	return {
		flags: bytes.readUInt16BE(4),
		type: bytes.readUInt16BE(6),
		cookie: bytes.readBigUInt64BE(8),
		payloadBytes: bytes.readUInt32BE(16),
	};
}

export function encodeOption(kind: number, data: Buffer): Buffer {
	const header = Buffer.allocUnsafe(optionHeaderBytes);
	header.writeBigUInt64BE(optionMagic, 0);
	header.writeUInt32BE(kind, 8);
	header.writeUInt32BE(data.length, 12);
	return Buffer.concat([header, data]);
}

export function encodeOptionReply(kind: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
	const header = Buffer.allocUnsafe(optionReplyHeaderBytes);
	header.writeBigUInt64BE(optionReplyMagic, 0);
	header.writeUInt32BE(kind, 8);
	header.writeUInt32BE(type, 12);
	header.writeUInt32BE(data.length, 16);
	return Buffer.concat([header, data]);
}

/** A text with its length in four bytes before it. */
export function encodeText(text: string): Buffer {
	const bytes = Buffer.from(text, "utf8");
	const length = Buffer.allocUnsafe(4);
	length.writeUInt32BE(bytes.length, 0);
	return Buffer.concat([length, bytes]);
}

export function uint16(value: number): Buffer {
	const bytes = Buffer.allocUnsafe(2);
	bytes.writeUInt16BE(value, 0);
	return bytes;
}

export function uint32(value: number): Buffer {
	const bytes = Buffer.allocUnsafe(4);
	bytes.writeUInt32BE(value, 0);
	return bytes;
}

export function uint64(value: bigint): Buffer {
	const bytes = Buffer.allocUnsafe(8);
	bytes.writeBigUInt64BE(value, 0);
	return bytes;
}
