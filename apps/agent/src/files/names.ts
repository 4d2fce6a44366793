import { SternaError } from "@sterna/shared/errors";

/**
 * Names of a guest's files are bytes that the guest chose: no encoding is promised, and any byte but NUL and the slash
 * may stand in them. As text they are written so that everyone can show them and nobody loses one: what is printable
 * UTF-8 stands for itself; every other byte, and the backslash, is written `\xNN`. `bytesOfName` is the way back.
 */
export function nameOfBytes(bytes: Uint8Array): string {
	const whole = decode(bytes);
	if (whole !== null && !needsEscape.test(whole)) return whole;
	let text = "";
	for (let at = 0; at < bytes.length; ) {
		const lengthBytes = sequenceLength(bytes[at] ?? 0);
		const character = decode(bytes.subarray(at, at + lengthBytes));
		if (character !== null && !needsEscape.test(character)) {
			text += character;
			at += lengthBytes;
			continue;
		}
		text += escaped(bytes[at] ?? 0);
		at++;
	}
	return text;
}

/** The bytes that a name or path stands for. @throws {SternaError} `invalid` for what `nameOfBytes` never writes. */
export function bytesOfName(text: string): Buffer {
	const parts = text.split(/(\\(?:x[0-9a-f]{2})?)/).map((part) => {
		if (part === "\\")
			throw new SternaError("invalid", "a backslash in a file's name is written \\x5c, and other bytes likewise");
		return part.startsWith("\\x") ? Buffer.from(part.slice(2), "hex") : Buffer.from(part, "utf8");
	});
	const bytes = Buffer.concat(parts);
	if (bytes.includes(0)) throw new SternaError("invalid", "a file's name holds a NUL byte, which no file system has");
	return bytes;
}

/** A path inside a guest's file system: absolute, and without steps that lead back. @throws {SternaError} `invalid` */
export function bytesOfPath(path: string): Buffer {
	const steps = path.split("/");
	if (!path.startsWith("/") || steps.includes("..") || steps.includes("."))
		throw new SternaError("invalid", "a path inside a backup begins with a slash and has no steps . or ..");
	const bytes = bytesOfName(path);
	if (bytes.length > maxPathBytes)
		throw new SternaError("invalid", `a path has at most ${maxPathBytes} bytes, and this one has ${bytes.length}`);
	return bytes;
}

/**
 * One argument of a guestfish command line, whatever its bytes are, as characters of the same number: in double quotes,
 * all but plain ones as `\xNN` (guestfish(1), "Quoting"). A quoted argument is never taken for an option's end, a pipe, a
 * pattern or a list.
 */
export function quoted(bytes: Uint8Array): string {
	const text = [...bytes].map((byte) => {
		const character = String.fromCharCode(byte);
		return byte >= 0x80 || byte === 0x20 || plain.test(character) ? character : escaped(byte);
	});
	return `"${text.join("")}"`;
}

/** Whether a name can stand in a list of guestfish, whose items are parted by white space and quotes of a second kind. */
export function fitsInList(bytes: Uint8Array): boolean {
	return bytes.length > 0 && [...bytes].every((byte) => byte >= 0x80 || plain.test(String.fromCharCode(byte)));
}

/** What Linux takes (PATH_MAX without its NUL byte, limits.h). */
const maxPathBytes = 4095;
const plain = /^[A-Za-z0-9/._+@,=:-]$/;
/** Control, format, unassigned and private characters, line separators, and the mark of an escape itself. */
const needsEscape = /[\p{C}\p{Zl}\p{Zp}\\]/u;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string | null {
	try {
		return decoder.decode(bytes);
	} catch {
		return null;
	}
}

function escaped(byte: number): string {
	return `\\x${byte.toString(16).padStart(2, "0")}`;
}

/** How many bytes the UTF-8 sequence has that begins with this one (RFC 3629 §3). */
function sequenceLength(first: number): number {
	if (first >= 0xf0) return 4;
	if (first >= 0xe0) return 3;
	return first >= 0xc0 ? 2 : 1;
}
