import { describe, expect, it } from "vitest";
import { parseStats } from "./stat.ts";

const block = (mode: number, size: string, seconds: string) =>
	`st_dev: 2048\nst_ino: 11\nst_mode: ${mode}\nst_nlink: 1\nst_size: ${size}\nst_mtime_sec: ${seconds}\nst_mtime_nsec: 5\n`;

describe("what guestfish says of files", () => {
	it("is read entry by entry, in order", () => {
		const text = `[0] = {\n${block(0o100644, "17", "1795375859").replace(/^/gm, "  ")}}\n[1] = {\n${block(0o040755, "4096", "0")}}\n`;
		expect(parseStats(text)).toEqual([
			{ kind: "file", sizeBytes: 17, modifiedAt: 1795375859000 },
			{ kind: "folder", sizeBytes: 4096, modifiedAt: 0 },
		]);
	});

	it("stays inside what numbers and times can be", () => {
		expect(parseStats(block(0o100644, "9223372036854775807", "9223372036854775807"))).toEqual([
			{ kind: "file", sizeBytes: Number.MAX_SAFE_INTEGER, modifiedAt: null },
		]);
		expect(parseStats(block(0o120777, "-1", "-5"))).toEqual([{ kind: "link", sizeBytes: 0, modifiedAt: null }]);
	});

	it("calls devices, pipes and names that are gone something else", () => {
		expect(
			parseStats([0o020644, 0o010644, 0].map((mode) => block(mode, "0", "1")).join("")).map((stat) => stat.kind),
		).toEqual(["other", "other", "other"]);
	});
});
