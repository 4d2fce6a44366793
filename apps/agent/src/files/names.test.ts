import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOfName, bytesOfPath, fitsInList, nameOfBytes, quoted } from "./names.ts";

const fileName = fc.uint8Array({ minLength: 1, maxLength: 255 }).map((bytes) => bytes.map((byte) => byte || 1));

describe("the name of a guest's file", () => {
	it.each([
		["Überschrift mit Leerzeichen.txt", "Überschrift mit Leerzeichen.txt"],
		["-rf", "-rf"],
		["$(reboot)`|;&", "$(reboot)`|;&"],
		["two\nlines", "two\\x0alines"],
		["back\\slash", "back\\x5cslash"],
		["\u202egnp.exe", "\\xe2\\x80\\xaegnp.exe"],
		["\x1b[31mred", "\\x1b[31mred"],
	])("%j is shown as %j", (name, shown) => {
		expect(nameOfBytes(Buffer.from(name))).toBe(shown);
	});

	it("shows what is no UTF-8 byte for byte, and the rest as it is", () => {
		expect(nameOfBytes(Buffer.from([0x61, 0xff, 0xc3, 0xbc, 0xc3]))).toBe("a\\xffü\\xc3");
		expect(nameOfBytes(Buffer.from([0xed, 0xa0, 0x80]))).toBe("\\xed\\xa0\\x80");
	});

	it("comes back as the same bytes, whatever they are, printable and within the limit of the protocol", () => {
		fc.assert(
			fc.property(fileName, (bytes) => {
				const text = nameOfBytes(bytes);
				expect(text).not.toMatch(/[\p{Cc}\p{Cs}]/u);
				expect(text.length).toBeLessThanOrEqual(1024);
				expect(bytesOfName(text)).toEqual(Buffer.from(bytes));
			}),
		);
	});

	it.each(["a\\", "\\x5", "\\xZZ", "\\0", "a\\x00b", "a\0b"])("refuses %j, which no file is called", (text) => {
		expect(() => bytesOfName(text)).toThrow(expect.objectContaining({ code: "invalid" }));
	});
});

describe("a path inside a backup", () => {
	it.each(["", "etc", "/../etc/shadow", "/a/../..", "/a/./b", "..", "/a\\x00"])("refuses %j", (path) => {
		expect(() => bytesOfPath(path)).toThrow(expect.objectContaining({ code: "invalid" }));
	});

	it("is no longer than one can be", () => {
		expect(() => bytesOfPath(`/${"ü".repeat(2048)}`)).toThrow("4095 bytes");
	});

	it("takes names that only look like steps", () => {
		expect(bytesOfPath("/...//..a/-rf").toString()).toBe("/...//..a/-rf");
	});
});

describe("an argument of guestfish", () => {
	it("has nothing in it that guestfish gives a meaning to", () => {
		fc.assert(
			fc.property(fileName, (bytes) => {
				expect(quoted(bytes)).toMatch(/^"([A-Za-z0-9/._+@,=: \x80-\xff-]|\\x[0-9a-f]{2})*"$/);
			}),
		);
	});

	it("leaves names with spaces and quotes out of lists", () => {
		expect(
			["a b", "it's", 'say "x"', "", "a\\b", "~root", "{a,b}"].filter((name) => fitsInList(Buffer.from(name))),
		).toEqual([]);
		expect(fitsInList(Buffer.from("Größe-1.txt"))).toBe(true);
	});
});
