import { type Listening, take } from "./intake.ts";
import type { NbdExport, NbdExtent } from "./nbd.ts";
import { garbage } from "./negotiation.ts";
import {
	allocation,
	encodeOptionReply,
	encodeText,
	handshakeFlags,
	info,
	maxPayloadBytes,
	option,
	optionHeaderBytes,
	optionMagic,
	optionReply,
	serverMagic,
	transmissionFlags,
	uint16,
	uint32,
	uint64,
} from "./wire.ts";

/** What a client chose. */
export interface Choice {
	chosen: NbdExport;
	/** Of which it may ask for block status. */
	contexts: readonly Context[];
}

/** A metadata context of an export, and the number by which both sides call it. */
export interface Context {
	id: number;
	name: string;
	extents(offset: number, lengthBytes: number): AsyncIterable<NbdExtent>;
}

const maxOptionBytes = 64 * 1024;
const maxOptions = 100;
/** Of the smallest read, of one that is quick, and of the largest. */
const blockSizes = { minimum: 1, preferred: 64 * 1024, maximum: maxPayloadBytes };

/**
 * The server's side of the handshake, up to the transmission phase; null when the client leaves.
 * @throws {SternaError} `invalid` when it does not keep the protocol.
 */
export function* offer(exports: readonly NbdExport[], send: (bytes: Buffer) => void): Listening<Choice | null> {
	const flags = handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes;
	send(Buffer.concat([uint64(serverMagic), uint64(optionMagic), uint16(flags)]));
	const answered = (yield* take(4)).readUInt32BE(0);
	if ((answered & ~flags) !== 0 || (answered & handshakeFlags.fixedNewstyle) === 0) {
		throw garbage("it answered the greeting with flags that are not known");
	}
	let structured = false;
	let selected: { of: NbdExport; contexts: Context[] } | null = null;
	for (let options = 0; options < maxOptions; options++) {
		const { kind, data } = yield* receiveOption();
		const reply = (type: number, payload?: Buffer) => send(encodeOptionReply(kind, type, payload));
		switch (kind) {
			case option.abort:
				reply(optionReply.ack);
				return null;
			case option.list:
				for (const { name } of exports) reply(optionReply.server, encodeText(name));
				reply(optionReply.ack);
				break;
			case option.structuredReply:
				structured = data.length === 0;
				reply(structured ? optionReply.ack : optionReply.invalid);
				break;
			case option.listMetaContext:
			case option.setMetaContext: {
				const asked = readContexts(data);
				const found = exports.find(({ name }) => name === asked?.exportName);
				if (!asked || !found) {
					reply(asked ? optionReply.unknown : optionReply.invalid);
					break;
				}
				const offered = contextsOf(found);
				const listsAll = kind === option.listMetaContext && asked.queries.length === 0;
				const contexts = offered.filter(({ name }) => listsAll || asked.queries.includes(name));
				for (const { id, name } of contexts)
					reply(optionReply.metaContext, Buffer.concat([uint32(id), Buffer.from(name)]));
				if (kind === option.setMetaContext) selected = { of: found, contexts };
				reply(optionReply.ack);
				break;
			}
			case option.info:
			case option.go: {
				const name = readExportName(data);
				const chosen = exports.find((candidate) => candidate.name === name);
				if (name === null || !chosen) reply(name === null ? optionReply.invalid : optionReply.unknown);
				else if (!structured) reply(optionReply.policy, Buffer.from("ask for structured replies first"));
				else {
					for (const description of describe(chosen)) reply(optionReply.info, description);
					reply(optionReply.ack);
					if (kind === option.go) return { chosen, contexts: selected?.of === chosen ? selected.contexts : [] };
				}
				break;
			}
			default:
				reply(optionReply.unsupported);
		}
	}
	throw garbage("it negotiates without an end");
}

function contextsOf({ extents, contexts = new Map() }: NbdExport): Context[] {
	const allocated = extents && {
		name: "base:allocation",
		async *extents(offset: number, lengthBytes: number) {
			for await (const { zero, ...extent } of extents(offset, lengthBytes)) {
				yield { ...extent, flags: zero ? allocation.hole | allocation.zero : 0 };
			}
		},
	};
	const others = [...contexts].map(([name, describes]) => ({ name, extents: describes }));
	return [...(allocated ? [allocated] : []), ...others].map((context, index) => ({ id: index + 1, ...context }));
}

function* receiveOption(): Listening<{ kind: number; data: Buffer }> {
	const header = yield* take(optionHeaderBytes);
	if (header.readBigUInt64BE(0) !== optionMagic) throw garbage("an option does not begin as one");
	const lengthBytes = header.readUInt32BE(12);
	if (lengthBytes > maxOptionBytes) throw garbage(`it announced an option of ${lengthBytes} bytes`);
	return { kind: header.readUInt32BE(8), data: yield* take(lengthBytes) };
}

function describe({ sizeBytes }: NbdExport): Buffer[] {
	const flags = transmissionFlags.hasFlags | transmissionFlags.readOnly | transmissionFlags.canMultiConn;
	const { minimum, preferred, maximum } = blockSizes;
	return [
		Buffer.concat([uint16(info.export), uint64(BigInt(sizeBytes)), uint16(flags)]),
		Buffer.concat([uint16(info.blockSize), uint32(minimum), uint32(preferred), uint32(maximum)]),
	];
}

/** The export that INFO and GO name; null when the option is not of the form that it should be. */
function readExportName(data: Buffer): string | null {
	const name = readText(data, 0);
	if (name === null || name.end + 2 > data.length) return null;
	return data.length === name.end + 2 + 2 * data.readUInt16BE(name.end) ? name.text : null;
}

function readContexts(data: Buffer): { exportName: string; queries: string[] } | null {
	const name = readText(data, 0);
	if (name === null || name.end + 4 > data.length) return null;
	const count = data.readUInt32BE(name.end);
	const queries: string[] = [];
	let at = name.end + 4;
	while (queries.length < count) {
		const query = readText(data, at);
		if (query === null) return null;
		queries.push(query.text);
		at = query.end;
	}
	return at === data.length ? { exportName: name.text, queries } : null;
}

function readText(data: Buffer, at: number): { text: string; end: number } | null {
	if (at + 4 > data.length) return null;
	const end = at + 4 + data.readUInt32BE(at);
	return end <= data.length ? { text: data.toString("utf8", at + 4, end), end } : null;
}
