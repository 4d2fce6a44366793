import { Writable } from "node:stream";
import { SternaError } from "@sterna/shared/errors";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { drained } from "./spool-drain.ts";

/** A browser that reads when it is told to. */
let read: () => void;
let browser: Writable;
let sender: AbortController;

beforeEach(() => {
	vi.useFakeTimers();
	sender = new AbortController();
	browser = new Writable({
		highWaterMark: 1,
		write: (_chunk, _encoding, done) => {
			read = done;
		},
	});
});
afterEach(() => {
	expect(browser.listenerCount("drain") + browser.listenerCount("close")).toBe(0);
	expect(vi.getTimerCount()).toBe(0);
	vi.useRealTimers();
});

test("a browser that reads on gets the next piece, and however often it is waited for, no listener stays", async () => {
	for (let piece = 0; piece < 20; piece++) {
		expect(browser.write("piece")).toBe(false);
		const waiting = drained(browser, sender.signal);
		read();
		await waiting;
		expect(browser.listenerCount("close")).toBe(0);
	}
});

test("a browser that stops reading is given up after a minute", async () => {
	browser.write("piece");
	const refused = expect(drained(browser, sender.signal)).rejects.toMatchObject({ code: "timeout", message: /60 s/ });
	await vi.advanceTimersByTimeAsync(60_000);
	await refused;
});

test("a browser that has gone, or goes, is not waited for", async () => {
	browser.write("piece");
	const refused = expect(drained(browser, sender.signal)).rejects.toMatchObject({ code: "cancelled" });
	browser.destroy();
	await refused;
	await expect(drained(browser, sender.signal)).rejects.toMatchObject({ code: "cancelled" });
});

test("what the sender fails with is not held up by a browser that does not read", async () => {
	browser.write("piece");
	const refused = expect(drained(browser, sender.signal)).rejects.toMatchObject({ code: "no_capacity" });
	sender.abort(new SternaError("no_capacity", "the reader is too slow"));
	await refused;
});
