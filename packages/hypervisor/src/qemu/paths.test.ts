import { expect, test } from "vitest";
import { checkRunFolder, checkSocketPath } from "./paths.ts";

test("a run folder whose sockets fit into 107 bytes is taken, one byte more is refused with the number", () => {
	expect(() => checkRunFolder(`/${"r".repeat(60)}`)).not.toThrow();
	const tooLong = () => checkRunFolder(`/${"r".repeat(61)}`);
	expect(tooLong).toThrow(expect.objectContaining({ code: "invalid", cure: expect.stringContaining("61 bytes") }));
});

test.each(["relative/run", "/run/a,b", "/run/a b", "/run/\n", "/run/$(id)", ""])(
	"the run folder %j is refused",
	(folder) => {
		expect(() => checkRunFolder(folder)).toThrow(expect.objectContaining({ code: "invalid" }));
	},
);

test("a socket path that QEMU could not bind is refused with its length", () => {
	expect(() => checkSocketPath(`/${"s".repeat(106)}`)).not.toThrow();
	expect(() => checkSocketPath(`/${"s".repeat(107)}`)).toThrow(/it has 108/);
	expect(() => checkSocketPath("/run/a\0b")).toThrow(expect.objectContaining({ code: "invalid" }));
});
