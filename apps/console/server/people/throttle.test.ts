import { expect, test } from "vitest";
import { Throttle } from "./throttle.ts";

function throttleAt() {
	const clock = { now: 1_000_000 };
	return { clock, throttle: new Throttle(() => clock.now) };
}

test("mistyping four times costs nothing", () => {
	const { throttle } = throttleAt();
	for (let failure = 0; failure < 4; failure++) throttle.failed("ann");
	expect(() => throttle.check("ann")).not.toThrow();
});

test("the fifth failure waits a second, and each further one twice as long, up to five minutes", () => {
	const { clock, throttle } = throttleAt();
	for (let failure = 0; failure < 5; failure++) throttle.failed("ann");
	expect(() => throttle.check("ann")).toThrow("too many failed attempts");
	clock.now += 1000;
	expect(() => throttle.check("ann")).not.toThrow();
	throttle.failed("ann");
	clock.now += 1999;
	expect(() => throttle.check("ann")).toThrow();
	for (let failure = 0; failure < 30; failure++) throttle.failed("ann");
	clock.now += 5 * 60_000;
	expect(() => throttle.check("ann")).not.toThrow();
});

test("guesses made at the same moment are counted before any of them is answered", () => {
	const { throttle } = throttleAt();
	for (let guess = 0; guess < 5; guess++) throttle.begin("ann");
	expect(() => throttle.begin("ann")).toThrow("too many failed attempts");
	throttle.succeeded("ann");
	expect(() => throttle.begin("ann")).not.toThrow();
});

test("one account's failures do not hold up another, but any slowed key does", () => {
	const { throttle } = throttleAt();
	for (let failure = 0; failure < 5; failure++) throttle.failed("address");
	expect(() => throttle.check("ann")).not.toThrow();
	expect(() => throttle.check("ann", "address")).toThrow();
});

test("a success forgives, and so does a quarter of an hour", () => {
	const { clock, throttle } = throttleAt();
	for (let failure = 0; failure < 9; failure++) throttle.failed("ann");
	throttle.succeeded("ann");
	expect(() => throttle.check("ann")).not.toThrow();
	for (let failure = 0; failure < 4; failure++) throttle.failed("ann");
	clock.now += 15 * 60_000;
	throttle.failed("ann");
	expect(() => throttle.check("ann")).not.toThrow();
});
