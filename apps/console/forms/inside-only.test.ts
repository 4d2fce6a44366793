import { expect, test } from "vitest";
import { insideOnly } from "./inside-only.ts";

test.each(["/", "/guests", "/guests?state=running&page=2", "/hosts/3f0c1d2e-0000-4000-8000-000000000001"])(
	"%s is a page of this console and is followed",
	(next) => {
		expect(insideOnly(next)).toBe(next);
	},
);

test.each([
	"https://elsewhere.example",
	"//elsewhere.example",
	"/\\\\elsewhere.example",
	"/\\t/elsewhere.example",
	"javascript:alert(1)",
	"guests",
	"",
	undefined,
	["/guests", "/hosts"],
])("%j could lead elsewhere and becomes the overview", (next) => {
	expect(insideOnly(next)).toBe("/");
});
