import { expect, test } from "vitest";
import { crumbsOf, inFolder } from "./folder-path.ts";

test("an entry of the top folder has one slash before it, one of a deeper folder its way", () => {
	expect(inFolder("/", "etc")).toBe("/etc");
	expect(inFolder("/etc", "hosts")).toBe("/etc/hosts");
});

test("the way up names every folder once", () => {
	expect(crumbsOf("/").map(({ path }) => path)).toEqual(["/"]);
	expect(crumbsOf("/var/log")).toEqual([
		{ name: "/", path: "/" },
		{ name: "var", path: "/var" },
		{ name: "log", path: "/var/log" },
	]);
});
