import fc from "fast-check";
import { expect, test } from "vitest";
import { Intake, type Listening, take } from "./intake.ts";

/** A length in four bytes, then so many bytes; nothing longer than the first length of zero. */
function* texts(heard: Buffer[]): Listening {
	for (;;) {
		const lengthBytes = (yield* take(4)).readUInt32BE(0);
		if (lengthBytes === 0) return;
		heard.push(yield* take(lengthBytes));
	}
}

test("however the bytes are cut into packets and wherever they are put, the same is heard", () => {
	const message = fc.uint8Array({ minLength: 1, maxLength: 200_000 });
	const cuts = fc.array(fc.tuple(fc.integer({ min: 1, max: 150_000 }), fc.boolean()), { minLength: 1, maxLength: 20 });
	fc.assert(
		fc.property(fc.array(message, { maxLength: 5 }), cuts, (messages, packets) => {
			const wire = Buffer.concat([
				...messages.flatMap((bytes) => [lengthOf(bytes.length), bytes]),
				lengthOf(0),
				Buffer.from("what comes after the end"),
			]);
			const heard: Buffer[] = [];
			const intake = new Intake(texts(heard));
			let at = 0;
			for (let index = 0; at < wire.length; index++) {
				const [most, inPlace] = packets[index % packets.length] ?? [1, false];
				const space = intake.space();
				const packet = wire.subarray(at, at + (inPlace ? Math.min(most, space.length) : most));
				if (inPlace) {
					space.set(packet);
					intake.arrived(space, packet.length);
				} else {
					intake.feed(packet);
				}
				at += packet.length;
			}
			expect(heard.map((bytes) => bytes.toString("hex"))).toEqual(
				messages.map((bytes) => Buffer.from(bytes).toString("hex")),
			);
		}),
		{ numRuns: 60 },
	);
});

test("what the conversation throws comes out where the bytes go in", () => {
	const intake = new Intake(
		(function* () {
			yield* take(2);
			throw new Error("enough");
		})(),
	);
	intake.feed(Buffer.from("a"));
	expect(() => intake.feed(Buffer.from("b"))).toThrow("enough");
});

function lengthOf(count: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(count, 0);
	return bytes;
}
