import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readDynamicNeeds } from "./libraries.ts";

/** A program with one segment, loaded at 0x1000, that names a loader and two libraries. */
function program(): Buffer {
	const elf = Buffer.alloc(0x200);
	elf.write("\x7fELF\x02\x01\x01", "latin1");
	elf.writeBigUInt64LE(64n, 32); // program headers
	elf.writeUInt16LE(56, 54);
	elf.writeUInt16LE(3, 56);
	const segment = (index: number, type: number, offset: number, sizeBytes: number) => {
		const at = 64 + index * 56;
		elf.writeUInt32LE(type, at);
		elf.writeBigUInt64LE(BigInt(offset), at + 8);
		elf.writeBigUInt64LE(BigInt(0x1000 + offset), at + 16);
		elf.writeBigUInt64LE(BigInt(sizeBytes), at + 32);
	};
	segment(0, 1, 0, elf.length);
	segment(1, 3, 0x180, 16);
	segment(2, 2, 0x120, 64);
	elf.write("/lib64/loader.so\0", 0x180);
	elf.write("\0libone.so.1\0libtwo.so.2\0", 0x1a0);
	const entries: [bigint, bigint][] = [
		[1n, 1n],
		[1n, 13n],
		[5n, 0x11a0n],
		[0n, 0n],
	];
	for (const [index, [tag, value]] of entries.entries()) {
		elf.writeBigUInt64LE(tag, 0x120 + index * 16);
		elf.writeBigUInt64LE(value, 0x128 + index * 16);
	}
	return elf;
}

describe("readDynamicNeeds", () => {
	it("finds the loader and the libraries of a program", () => {
		expect(readDynamicNeeds(program())).toEqual({
			loader: "/lib64/loader.so",
			libraries: ["libone.so.1", "libtwo.so.2"],
		});
	});

	it("knows the C library among the needs of the runtime that runs this test", () => {
		const needs = readDynamicNeeds(readFileSync(process.execPath));
		expect(needs.loader).toMatch(/^\/lib64\/ld-/);
		expect(needs.libraries).toContain("libc.so.6");
	});

	it("refuses what is no such file, and one that is cut short", () => {
		expect(() => readDynamicNeeds(Buffer.from("#!/bin/sh\n".padEnd(80)))).toThrow(TypeError);
		expect(() => readDynamicNeeds(program().subarray(0, 0x1b0))).toThrow(RangeError);
	});
});
