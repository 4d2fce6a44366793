import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withFileLock } from "./file-lock.ts";

let dir: string;
beforeEach(() => {
	dir = mkdtempSync(join(tmpdir(), "sterna-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe("withFileLock", () => {
	it("lets one holder in at a time", async () => {
		let inside = 0;
		let most = 0;
		const work = async () => {
			inside += 1;
			most = Math.max(most, inside);
			await new Promise((resolve) => setImmediate(resolve));
			inside -= 1;
		};
		await Promise.all([1, 2, 3, 4].map(() => withFileLock(join(dir, "lock"), work)));
		expect(most).toBe(1);
	});

	it("releases the lock when the work fails", async () => {
		await expect(withFileLock(join(dir, "lock"), () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
		expect(await withFileLock(join(dir, "lock"), async () => "in")).toBe("in");
	});

	it("says which file it cannot lock", async () => {
		await expect(withFileLock(join(dir, "absent", "lock"), async () => "in")).rejects.toThrow(
			join(dir, "absent", "lock"),
		);
	});
});
