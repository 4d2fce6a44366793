import { Duplex, PassThrough } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineWire, maxBufferedBytes } from "./lines.ts";

test("texts arrive whole and in order however the network cuts them into pieces", async () => {
	const text = fc.string({ unit: "grapheme", maxLength: 40 }).map((value) => value.replaceAll("\n", " "));
	const cases = fc.tuple(
		fc.array(text, { maxLength: 10 }),
		fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
	);
	await fc.assert(
		fc.asyncProperty(cases, async ([texts, cuts]) => {
			const stream = new PassThrough();
			const received: string[] = [];
			new LineWire(stream, (line) => received.push(line));
			let bytes = Buffer.from(texts.map((line) => `${line}\n`).join(""));
			for (let at = 0; bytes.length > 0; at++) {
				const length = cuts[at % cuts.length] ?? 1;
				stream.write(bytes.subarray(0, length));
				bytes = bytes.subarray(length);
			}
			stream.end();
			await new Promise((resolve) => stream.once("close", resolve));
			expect(received).toEqual(texts);
		}),
	);
});

/** The other side never reads. */
function deafStream(): Duplex {
	return new Duplex({ read: () => {}, write: () => {}, highWaterMark: 1024 });
}

test("a reader that never reads is given up before it fills our memory", () => {
	const stream = deafStream();
	stream.on("error", () => {});
	const wire = new LineWire(stream, () => {});
	const text = "x".repeat(64 * 1024);
	let sentBytes = 0;
	while (!stream.destroyed && sentBytes < 10 * maxBufferedBytes) {
		wire.send(text);
		sentBytes += text.length;
	}
	expect(stream.destroyed).toBe(true);
	expect(sentBytes).toBeLessThan(maxBufferedBytes + 2 * text.length);
});

test("a stream waits while the other side does not read, and is let go when the connection ends", async () => {
	const stream = deafStream();
	const wire = new LineWire(stream, () => {});
	await wire.drained();
	wire.send("x".repeat(2048));
	let isDrained = false;
	const drained = wire.drained().then(() => {
		isDrained = true;
	});
	await new Promise((resolve) => setImmediate(resolve));
	expect(isDrained).toBe(false);
	stream.on("error", () => {});
	wire.close("the test is over");
	await drained;
});
