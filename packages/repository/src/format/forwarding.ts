import { SternaError } from "@sterna/shared/errors";
import { type PackId, packIdBytes, packIdFromBytes } from "./pack-id.ts";

/** Where the blocks of one pack are now, by their offset in it: `moved/<packId>`, a sealed object. Lengths stay what they were. */
export type Forwarding = Map<number, { packId: PackId; offset: number }>;

const entryBytes = 4 + packIdBytes + 4;

/** Entries of old offset u32, new pack's id, new offset u32, little-endian; for `Sealing.sealObject`. */
export function encodeForwarding(forwarding: Forwarding): Buffer {
	const bytes = Buffer.alloc(forwarding.size * entryBytes);
	let at = 0;
	for (const [oldOffset, { packId, offset }] of forwarding) {
		bytes.writeUInt32LE(oldOffset, at);
		bytes.write(packId, at + 4, packIdBytes, "hex");
		bytes.writeUInt32LE(offset, at + 4 + packIdBytes);
		at += entryBytes;
	}
	return bytes;
}

/** @throws {SternaError} `invalid` when it has another length than whole entries have. */
export function decodeForwarding(key: string, bytes: Uint8Array): Forwarding {
	if (bytes.length % entryBytes !== 0) throw new SternaError("invalid", `${key} does not hold whole entries`);
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const forwarding: Forwarding = new Map();
	for (let at = 0; at < buffer.length; at += entryBytes) {
		forwarding.set(buffer.readUInt32LE(at), {
			packId: packIdFromBytes(buffer.subarray(at + 4, at + 4 + packIdBytes)),
			offset: buffer.readUInt32LE(at + 4 + packIdBytes),
		});
	}
	return forwarding;
}
