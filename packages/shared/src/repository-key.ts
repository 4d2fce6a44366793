import type { RepositoryKey } from "./backup.ts";
import { SternaError } from "./errors.ts";

/** Bytes of a repository key. */
export const repositoryKeyBytes = 32;

const prefix = "sterna-key-1-";
const checksumBytes = 4;
/** RFC 4648 §6, in lower case. */
const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/**
 * A repository key as a person keeps it: the prefix, then base32 of the 32 bytes and of the first 4 bytes of
 * SHA-256 over prefix and key, so that a slip of the pen is told from a wrong key.
 */
export async function formatRepositoryKey(key: Uint8Array<ArrayBuffer>): Promise<RepositoryKey> {
	if (key.length !== repositoryKeyBytes) throw new SternaError("invalid", "a repository key has 32 bytes");
	const bytes = new Uint8Array([...key, ...(await checksumOf(key))]);
	let text = "";
	let bits = 0;
	let buffer = 0;
	for (const byte of bytes) {
		buffer = ((buffer << 8) | byte) & 0xfff;
		bits += 8;
		for (; bits >= 5; bits -= 5) text += alphabet[(buffer >> (bits - 5)) & 31];
	}
	if (bits > 0) text += alphabet[(buffer << (5 - bits)) & 31];
	return prefix + text;
}

/** The bytes of a key. @throws {SternaError} `invalid` when it is no key or its checksum does not fit: it was not copied exactly. */
export async function parseRepositoryKey(text: string): Promise<Uint8Array<ArrayBuffer>> {
	const bytes: number[] = [];
	let bits = 0;
	let buffer = 0;
	for (const letter of text.slice(prefix.length)) {
		buffer = ((buffer << 5) | alphabet.indexOf(letter)) & 0xfff;
		bits += 5;
		if (bits < 8) continue;
		bits -= 8;
		bytes.push((buffer >> bits) & 0xff);
	}
	const key = new Uint8Array(bytes.slice(0, repositoryKeyBytes));
	if (key.length === repositoryKeyBytes && (await formatRepositoryKey(key)) === text) return key;
	throw new SternaError("invalid", "this is no repository key: its checksum does not fit", {
		cure: "copy it again, letter by letter",
	});
}

async function checksumOf(key: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
	const digest = await crypto.subtle.digest("SHA-256", new Uint8Array([...new TextEncoder().encode(prefix), ...key]));
	return new Uint8Array(digest).slice(0, checksumBytes);
}
