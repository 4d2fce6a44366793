import { SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";
import { type Listening, take } from "./intake.ts";
import {
	encodeOption,
	encodeText,
	handshakeFlags,
	info,
	maxNameBytes,
	option,
	optionMagic,
	optionReply,
	optionReplyHeaderBytes,
	optionReplyMagic,
	serverMagic,
	uint16,
	uint32,
} from "./wire.ts";

/** What client and server agreed on. */
export interface Agreement {
	sizeBytes: number;
	/** The number by which the server calls each metadata context that was asked for. */
	contexts: ReadonlyMap<string, number>;
}

/** A server that answers one option with more than this is not talking NBD. */
const maxRepliesPerOption = 100;
const maxReplyBytes = 64 * 1024;

/**
 * The client's side of the handshake, up to the transmission phase (doc/proto.md, "Newstyle negotiation").
 * @throws {SternaError} `not_found` for an export that is not there, `incompatible` when the server cannot what is needed,
 * `invalid` when it speaks no NBD.
 */
export function* negotiate(
	wanted: { exportName: string; contexts: readonly string[] },
	send: (bytes: Buffer) => void,
): Listening<Agreement> {
	const greeting = yield* take(18);
	if (greeting.readBigUInt64BE(0) !== serverMagic || greeting.readBigUInt64BE(8) !== optionMagic) {
		throw garbage("its greeting is not that of an NBD server");
	}
	const offered = greeting.readUInt16BE(16);
	if ((offered & handshakeFlags.fixedNewstyle) === 0) {
		throw new SternaError("incompatible", "the NBD server does not speak the fixed newstyle handshake");
	}
	send(uint32(offered & (handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes)));

	send(encodeOption(option.structuredReply, Buffer.alloc(0)));
	for (const reply of yield* replies(option.structuredReply)) refuse(reply, "structured replies");

	const contexts = new Map<string, number>();
	if (wanted.contexts.length > 0) {
		const queries = wanted.contexts.map(encodeText);
		const data = [encodeText(wanted.exportName), uint32(wanted.contexts.length), ...queries];
		send(encodeOption(option.setMetaContext, Buffer.concat(data)));
		for (const reply of yield* replies(option.setMetaContext)) {
			refuse(reply, `the export ${JSON.stringify(wanted.exportName)} with metadata`);
			if (reply.type !== optionReply.metaContext || reply.data.length < 4) throw garbage("it answered a context badly");
			contexts.set(reply.data.toString("utf8", 4), reply.data.readUInt32BE(0));
		}
		const missing = wanted.contexts.find((context) => !contexts.has(context));
		if (missing !== undefined) {
			throw new SternaError("not_found", `the NBD export ${wanted.exportName} has no metadata context ${missing}`);
		}
	}

	send(encodeOption(option.go, Buffer.concat([encodeText(wanted.exportName), uint16(0)])));
	let sizeBytes: number | null = null;
	for (const reply of yield* replies(option.go)) {
		refuse(reply, `the export ${JSON.stringify(wanted.exportName)}`);
		if (reply.type !== optionReply.info || reply.data.length < 2) throw garbage("it answered a request to go badly");
		if (reply.data.readUInt16BE(0) !== info.export) continue;
		if (reply.data.length !== 12) throw garbage("it described its export badly");
		sizeBytes = Number(reply.data.readBigUInt64BE(2));
	}
	if (sizeBytes === null || !Number.isSafeInteger(sizeBytes)) throw garbage("it did not tell a size that can be");
	return { sizeBytes, contexts };
}

interface OptionReply {
	type: number;
	data: Buffer;
}

/** All replies to one option but the acknowledgement that ends them; an error ends them too. */
function* replies(kind: number): Listening<OptionReply[]> {
	const all: OptionReply[] = [];
	for (;;) {
		const header = yield* take(optionReplyHeaderBytes);
		if (header.readBigUInt64BE(0) !== optionReplyMagic || header.readUInt32BE(8) !== kind) {
			throw garbage("it did not answer what it was asked");
		}
		const type = header.readUInt32BE(12);
		const lengthBytes = header.readUInt32BE(16);
		if (lengthBytes > maxReplyBytes) throw garbage(`it announced an answer of ${lengthBytes} bytes`);
		const data = yield* take(lengthBytes);
		if (type === optionReply.ack) return all;
		all.push({ type, data });
		if (type >= optionReply.error) return all;
		if (all.length > maxRepliesPerOption) throw garbage("it answers one option without an end");
	}
}

/** Throws when the reply is an error. */
function refuse({ type, data }: OptionReply, what: string): void {
	if (type < optionReply.error) return;
	const said = printable(data.toString("utf8", 0, Math.min(data.length, maxNameBytes)), 300);
	const because = said === "" ? "" : `: ${said}`;
	if (type === optionReply.unknown) throw new SternaError("not_found", `the NBD server has not ${what}${because}`);
	throw new SternaError("incompatible", `the NBD server refused ${what}${because}`);
}

/** The peer does not keep the protocol. */
export function garbage(what: string): SternaError {
	return new SternaError("invalid", `the NBD peer does not keep the protocol: ${what}`);
}
