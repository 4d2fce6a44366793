import { z } from "zod";

/**
 * The name of a guest or host: a host name label of RFC 1123 §2.1. Letters, digits and hyphens only, so that it can
 * stand in a command line, a path, a log or a page without ever being taken for anything else.
 */
export const Name = z
	.string()
	.min(1, "a name is needed")
	.max(63, "a name has at most 63 characters")
	.regex(
		/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
		"a name has lower-case letters, digits and hyphens, and neither starts nor ends with a hyphen",
	);

/** The name of a storage pool, network or image: as `Name`, and dots and underscores inside. */
export const ResourceName = z
	.string()
	.min(1)
	.max(63)
	.regex(/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/, "has lower-case letters, digits, dots, underscores and hyphens")
	.refine((name) => !name.includes(".."), "has no two dots in a row");

/** Free text that a person wrote: no control characters, no invisible or direction-changing ones. */
export const Remark = z
	.string()
	.max(500)
	.regex(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}]*$/u, "has no control or invisible characters");

// biome-ignore lint/suspicious/noControlCharactersInRegex: taking them out is the purpose
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text that a guest, a disk or a tool wrote, made safe to show and log: control, invisible and direction marks are replaced. */
export function printable(text: string, maxLength = 500): string {
	return text.slice(0, maxLength).replace(unprintable, "\ufffd");
}
