import { SternaError } from "./errors.ts";

/** How much of a JSON text is accepted at a door. */
export interface JsonLimits {
	/** Length of the text, in UTF-16 code units. */
	maxLength: number;
	/** Nesting of arrays and objects. */
	maxDepth: number;
}

export const defaultJsonLimits: JsonLimits = { maxLength: 1024 * 1024, maxDepth: 64 };

const forbiddenKeys = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Parses JSON that comes from outside. Beyond JSON.parse it refuses texts that are too long or too deep, objects that
 * name a key twice (RFC 8259 §4 leaves their meaning open), and keys that reach into prototypes.
 * @throws {SternaError} `invalid`, naming what is wrong.
 */
export function parseJson(text: string, limits: JsonLimits = defaultJsonLimits): unknown {
	if (text.length > limits.maxLength) {
		throw new SternaError(
			"invalid",
			`the JSON text is too long: ${text.length} characters of at most ${limits.maxLength}`,
		);
	}
	checkDepth(text, limits.maxDepth);
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new SternaError("invalid", "the text is not valid JSON", { cause });
	}
	checkKeys(text);
	return value;
}

/** Walks the structural characters only; strings are skipped. Runs before JSON.parse, whose recursion it guards. */
function checkDepth(text: string, maxDepth: number): void {
	let depth = 0;
	let inString = false;
	for (let at = 0; at < text.length; at++) {
		const char = text.charCodeAt(at);
		if (inString) {
			if (char === 92) at++;
			else if (char === 34) inString = false;
		} else if (char === 34) inString = true;
		else if (char === 123 || char === 91) {
			if (++depth > maxDepth)
				throw new SternaError("invalid", `the JSON text is nested deeper than ${maxDepth} levels`);
		} else if (char === 125 || char === 93) depth--;
	}
}

/** Runs on text that is known to be valid JSON, so a string directly before a colon is a key. */
function checkKeys(text: string): void {
	const open: (Set<string> | null)[] = [];
	for (let at = 0; at < text.length; at++) {
		const char = text[at];
		if (char === "{") open.push(new Set());
		else if (char === "[") open.push(null);
		else if (char === "}" || char === "]") open.pop();
		else if (char === '"') {
			const start = at;
			for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
			if (!/^\s*:/.test(text.slice(at + 1, at + 65))) continue;
			const key = JSON.parse(text.slice(start, at + 1)) as string;
			if (forbiddenKeys.has(key)) throw new SternaError("invalid", `the key "${key}" is not allowed`);
			const keys = open.at(-1);
			if (keys?.has(key)) throw new SternaError("invalid", `the key "${key.slice(0, 80)}" stands twice in one object`);
			keys?.add(key);
		}
	}
}
