import { randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";

/** `data`: blocks of disks. `tree`: the nodes that lead to them. */
export type PackKind = "data" | "tree";

export const packIdBytes = 16;

/**
 * A pack's name: 32 hex digits. The first 16 are its owner's, the last 16 are random; the first bit of those says `tree`.
 * Random enough that one pack's key is never another's (`sealing.ts`), and the object's key follows from it without an index.
 */
export type PackId = string & { readonly packId: unique symbol };

const pattern = /^[0-9a-f]{32}$/;
const keyPattern = /^packs\/([0-9a-f]{16})\/([0-9a-f]{16})$/;

function isPackId(text: string): text is PackId {
	return pattern.test(text);
}

/** @throws {SternaError} `invalid` when it is not 32 lower-case hex digits. */
export function parsePackId(text: string): PackId {
	if (!isPackId(text)) throw new SternaError("invalid", `"${text.slice(0, 80)}" is not the id of a pack`);
	return text;
}

/** The half of a pack's id that its owner gives: the first 16 hex digits of the point's id, or of a collection's random one. */
export function packOwner(uuid: string): string {
	return uuid.replaceAll("-", "").slice(0, 16).toLowerCase();
}

/** A new pack of `owner` (`packOwner`). */
export function newPackId(owner: string, kind: PackKind): PackId {
	const own = randomBytes(8);
	own[0] = ((own[0] ?? 0) & 0x7f) | (kind === "tree" ? 0x80 : 0);
	return parsePackId(owner + own.toString("hex"));
}

export function packKind(packId: PackId): PackKind {
	return packId.charCodeAt(16) >= "8".charCodeAt(0) ? "tree" : "data";
}

/** Whether the pack was written by the session of this point, or by another with the same first 60 random bits. */
export function packBelongsTo(packId: PackId, uuid: string): boolean {
	return packId.startsWith(packOwner(uuid));
}

/** Where the pack is in the storage. */
export function packKey(packId: PackId): string {
	return `packs/${packId.slice(0, 16)}/${packId.slice(16)}`;
}

/** The pack at a storage key; null for a key that is no pack's. */
export function packIdOfKey(key: string): PackId | null {
	const match = keyPattern.exec(key);
	return match ? parsePackId(`${match[1]}${match[2]}`) : null;
}

export function packIdFromBytes(bytes: Uint8Array): PackId {
	return parsePackId(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex"));
}
