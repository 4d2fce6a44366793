import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson } from "./json.ts";

test("any JSON value without odd keys comes through unchanged", () => {
	const safeKey = fc.string().filter((key) => !["__proto__", "constructor", "prototype"].includes(key));
	const json = fc.letrec((tie) => ({
		value: fc.oneof(
			fc.string(),
			fc.double({ noNaN: true, noDefaultInfinity: true }),
			fc.boolean(),
			fc.constant(null),
			tie("array"),
			tie("object"),
		),
		array: fc.array(tie("value"), { maxLength: 4 }),
		object: fc.dictionary(safeKey, tie("value"), { maxKeys: 4 }),
	})).value;
	fc.assert(
		fc.property(json, (value) => {
			const text = JSON.stringify(value);
			expect(parseJson(text)).toEqual(JSON.parse(text));
		}),
	);
});

test.each([
	["nesting of 10,000 levels", "[".repeat(10_000) + "]".repeat(10_000), "nested deeper"],
	["a text of 50 MB", `"${"x".repeat(50_000_000)}"`, "too long"],
	["a key that stands twice", '{"name":"a","x":{"name":"b"},"name":"c"}', 'the key "name" stands twice'],
	["a key that stands twice, once escaped", '{"name":1,"\\u006eame":2}', 'the key "name" stands twice'],
	["a __proto__ key", '{"a":[{"__proto__":{"admin":true}}]}', 'the key "__proto__" is not allowed'],
	["a constructor key", '{"constructor":1}', 'the key "constructor" is not allowed'],
	["a number beyond JSON", '{"memoryBytes":NaN}', "not valid JSON"],
	["a half text", '{"a":', "not valid JSON"],
])("%s is refused with a sentence", (_what, text, sentence) => {
	expect(() => parseJson(text)).toThrow(sentence);
});

test("the same key in two objects, or as a value, is fine", () => {
	expect(parseJson('[{"a":"a"},{"a":"b"}]')).toEqual([{ a: "a" }, { a: "b" }]);
});
