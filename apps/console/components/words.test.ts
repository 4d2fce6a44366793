import { expect, test } from "vitest";
import { sentence, statement } from "./words.ts";

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
