import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ensureQemu } from "../../../../scripts/system/qemu.ts";
import { generateQmpTypes } from "../../generate-qmp-types.ts";

test("the committed types are what the installed QEMU says of the commands that are used", async () => {
	const { system } = await ensureQemu();
	const committed = readFileSync(join(import.meta.dirname, "generated", "schema.ts"), "utf8");
	expect(await generateQmpTypes(system)).toBe(committed);
});
