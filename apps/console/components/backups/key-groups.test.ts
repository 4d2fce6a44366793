import { expect, test } from "vitest";
import { groupsOf } from "./key-groups.ts";

test("the last group of a recovery key is the eight characters that have to be typed back", () => {
	const key = `sterna-key-1-ab${"cdefgh23".repeat(6)}stuvwx45`;
	const { prefix, groups } = groupsOf(key);
	expect(prefix).toBe("sterna-key-1-");
	expect(groups).toHaveLength(8);
	expect(groups[0]).toBe("ab");
	expect(groups.at(-1)).toBe(key.slice(-8));
	expect(prefix + groups.join("")).toBe(key);
});
