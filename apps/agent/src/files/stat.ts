import type { GuestFile } from "@sterna/shared/backup";

export type FileStat = Pick<GuestFile, "kind" | "sizeBytes" | "modifiedAt">;

/** Bits of `st_mode` that say what a file is, and their values (inode(7)). */
const typeMask = 0o170000;
const kinds = new Map<number, GuestFile["kind"]>([
	[0o100000, "file"],
	[0o040000, "folder"],
	[0o120000, "link"],
]);

/** Reads what guestfish prints for `lstatns`, or for each name of `lstatnslist`: blocks of `st_mode: 33188` lines. */
export function parseStats(text: string): FileStat[] {
	const stats: FileStat[] = [];
	let fields = new Map<string, number>();
	for (const line of text.split("\n")) {
		const field = /^\s*(st_\w+): (-?\d+)$/.exec(line);
		if (!field) continue;
		const [, name = "", value = ""] = field;
		if (name === "st_dev") fields = new Map();
		fields.set(name, Number(value));
		if (name === "st_mtime_nsec") stats.push(statOf(fields));
	}
	return stats;
}

/** Sizes that a JavaScript number cannot hold become the largest that it can; times before 1970 are unknown. */
function statOf(fields: Map<string, number>): FileStat {
	const sizeBytes = Math.min(Math.max(0, fields.get("st_size") ?? 0), Number.MAX_SAFE_INTEGER);
	const modifiedAt = (fields.get("st_mtime_sec") ?? -1) * 1000;
	return {
		kind: kinds.get((fields.get("st_mode") ?? 0) & typeMask) ?? "other",
		sizeBytes,
		modifiedAt: modifiedAt >= 0 && Number.isSafeInteger(modifiedAt) ? modifiedAt : null,
	};
}
