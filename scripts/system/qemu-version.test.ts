import { describe, expect, it } from "vitest";
import { compareQemuVersions, formatQemuVersion, isSafeQemu, parseQemuVersion } from "./qemu-version.ts";

describe("parseQemuVersion", () => {
	it.each([
		["QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright (c) 2003-2025", "10.0.2"],
		["qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "7.2.22"],
		["1:10.0.2+ds-2+deb13u1~bpo12+1", "10.0.2"],
		["1:7.2+dfsg-7+deb12u18+b3", "7.2.0"],
		["11.0~rc1", "11.0.0"],
	])("reads %j as %s", (text, release) => {
		const version = parseQemuVersion(text);
		expect(version && formatQemuVersion(version)).toBe(release);
	});

	it("finds no release in other text", () => {
		expect(parseQemuVersion("sh: qemu-img: not found")).toBeUndefined();
	});
});

describe("compareQemuVersions", () => {
	it("orders by number and not by letter", () => {
		const releases = ["10.0.2", "9.2.0", "7.2.22", "9.10.0", "10.0.10"]
			.map((text) => parseQemuVersion(text))
			.filter((version) => version !== undefined);
		expect(releases.sort(compareQemuVersions).map(formatQemuVersion)).toEqual([
			"7.2.22",
			"9.2.0",
			"9.10.0",
			"10.0.2",
			"10.0.10",
		]);
	});
});

describe("isSafeQemu", () => {
	it("accepts 9.0 and newer only", () => {
		expect(["7.2.22", "8.2.9", "9.0.0", "10.0.2"].map((text) => isSafeQemu(parseQemuVersion(text)))).toEqual([
			false,
			false,
			true,
			true,
		]);
		expect(isSafeQemu(undefined)).toBe(false);
	});
});
