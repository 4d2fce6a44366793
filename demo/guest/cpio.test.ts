import { describe, expect, it } from "vitest";
import { packCpio } from "./cpio.ts";

describe("packCpio", () => {
	it("writes the header, name and data of a file on boundaries of four bytes, then the trailer", () => {
		const archive = packCpio([{ kind: "file", path: "hi", data: Buffer.from("hello"), isExecutable: true }]);
		const fields = ["070701", "00000001", "000081ed", "00000000", "00000000", "00000001", "00000000", "00000005"];
		expect(archive.subarray(0, 62).toString()).toBe(fields.join(""));
		expect(archive.subarray(110, 113).toString()).toBe("hi\0");
		expect(archive.subarray(116, 124).toString()).toBe("hello\0\0\0");
		expect(archive.subarray(124, 130).toString()).toBe("070701");
		expect(archive.subarray(124).toString()).toContain("TRAILER!!!");
		expect(archive.length % 4).toBe(0);
	});

	it("gives links their target as data and devices their numbers", () => {
		const archive = packCpio([
			{ kind: "link", path: "bin/sh", target: "busybox" },
			{ kind: "characterDevice", path: "dev/console", major: 5, minor: 1 },
		]).toString();
		expect(archive).toMatch(/^0707010{7}10000a1ff/);
		expect(archive).toContain("busybox");
		const device = archive.slice(archive.indexOf("07070100000002"));
		expect(device.slice(14, 22)).toBe("00002180");
		expect(device.slice(78, 94)).toBe("0000000500000001");
	});

	it("gives the same bytes for the same entries", () => {
		const entries = [{ kind: "folder", path: "etc" } as const];
		expect(packCpio(entries).equals(packCpio(entries))).toBe(true);
	});
});
