import { GiB, MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { amountOf, sentence, statement } from "./words.ts";

test.each([
	["the connection to rack1-01 was lost", "The connection to rack1-01 was lost."],
	["it is stopped; this needs a guest that is running", "It is stopped; this needs a guest that is running."],
	["web-1 runs already", "web-1 runs already."],
	["cache has no volume", "cache has no volume."],
	["the-one is migrating!", "the-one is migrating!"],
])("the statement %j keeps a name at its start as it is", (text, shown) => {
	expect(statement(text)).toBe(shown);
});

test("a cure begins with a capital and ends with one full stop", () => {
	expect(sentence("try again")).toBe("Try again.");
	expect(sentence("Wait until it is back.")).toBe("Wait until it is back.");
});

test.each([
	[41 * GiB, 64 * GiB, "41 of 64 GiB"],
	[323 * MiB, 2 * GiB, "0.3 of 2.0 GiB"],
	[0, 0, "0 of 0 B"],
	[512 * MiB, 512 * MiB, "512 of 512 MiB"],
])("%d of %d bytes reads as %s", (part, whole, text) => {
	expect(amountOf(part, whole)).toBe(text);
});
