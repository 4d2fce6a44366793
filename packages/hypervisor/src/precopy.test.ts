import { expect, test } from "vitest";
import { precopyIsSafe } from "./precopy.ts";

test.each([
	["7.2.22", "tcg", false],
	["8.2.1", "tcg", false],
	["9.0.0", "tcg", true],
	["10.0.2", "tcg", true],
	["7.2.22", "kvm", true],
	["what is this", "tcg", false],
	["10.0.0", "simulated", true],
] as const)("QEMU %s with %s: moving a running guest keeps its memory: %s", (version, accelerator, safe) => {
	expect(precopyIsSafe(version, accelerator)).toBe(safe);
});
