import { appendFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { testFolder } from "../fixtures/test-agent.ts";
import { followSerialLog } from "./serial.ts";

async function followed(fromOffset = 0) {
	const path = join(await testFolder(), "serial.log");
	const listeners = new Set<() => void>();
	let isAlive = true;
	const abort = new AbortController();
	const output = followSerialLog({
		path,
		fromOffset,
		isAlive: () => isAlive,
		onChange: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		signal: abort.signal,
	});
	const next = async () => {
		const { value, done } = await output.next();
		return done ? null : { offset: value.offset, text: Buffer.from(value.data, "base64").toString("latin1") };
	};
	const end = () => {
		isAlive = false;
		for (const listener of listeners) listener();
	};
	return { path, next, end, abort, listeners };
}

test("what the guest writes is sent as it comes, also when its log is not there yet", async () => {
	const { path, next, end, listeners } = await followed();
	const first = next();
	await writeFile(path, "boot\n");
	expect(await first).toEqual({ offset: 0, text: "boot\n" });
	const second = next();
	await appendFile(path, "login: ");
	expect(await second).toEqual({ offset: 5, text: "login: " });
	const third = next();
	end();
	expect(await third).toBeNull();
	expect(listeners.size).toBe(0);
});

test("everything the guest wrote before it ended is sent, in pieces that a frame can carry", async () => {
	const { path, next, end } = await followed();
	const text = "0123456789abcdef".repeat(20_000);
	await writeFile(path, text);
	end();
	let received = "";
	for (let chunk = await next(); chunk; chunk = await next()) {
		expect(chunk.offset).toBe(received.length);
		expect(chunk.text.length).toBeLessThanOrEqual(64 * 1024);
		received += chunk.text;
	}
	expect(received).toBe(text);
});

test("a log that was cut is followed from its new beginning", async () => {
	const { path, next, end } = await followed();
	await writeFile(path, "a long first life\n");
	expect(await next()).toMatchObject({ offset: 0 });
	await truncate(path, 0);
	await appendFile(path, "again\n");
	expect(await next()).toEqual({ offset: 0, text: "again\n" });
	end();
	expect(await next()).toBeNull();
});

test("a reader that goes away ends the following at once", async () => {
	const { next, abort, listeners } = await followed();
	const waiting = next();
	abort.abort();
	expect(await waiting).toBeNull();
	expect(listeners.size).toBe(0);
});
