import { SternaError } from "@sterna/shared/errors";
import { newId, RepositoryId } from "@sterna/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeForwarding, encodeForwarding, placeKey } from "./format/forwarding.ts";
import type { FramePart } from "./format/frame.ts";
import { newKeyring } from "./format/keyring.ts";
import { PointRecord } from "./format/manifest.ts";
import {
	checkHeader,
	PackBuilder,
	packHeaderBytes,
	packOverheadBytes,
	parseDirectory,
	parseTrailer,
} from "./format/pack.ts";
import { newPackId, packKind, packOwner } from "./format/pack-id.ts";
import { CollectionRecord, parseRecord, SessionRecord, SuspectRecord } from "./format/records.ts";
import { type Reference, readReference, referenceBytes, writeReference } from "./format/reference.ts";
import { Sealing } from "./format/sealing.ts";

const repositoryId = newId(RepositoryId);
const sealing = new Sealing(repositoryId, newKeyring());
const runs = { numRuns: 2000 };
/** What a reference says of its frame; `withIndex` makes the index one that the frame has. */
const part = {
	storedBytes: fc.integer({ min: 1, max: 0x00ff_ffff }),
	compressed: fc.boolean(),
	frameBlocks: fc.integer({ min: 1, max: 4 }),
	frameIndex: fc.nat(3),
};
const withIndex = <Part extends FramePart>(each: Part) => ({ ...each, frameIndex: each.frameIndex % each.frameBlocks });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

/** What a parser may do with anything: a value, or an error of ours that says why. */
function answers(parse: () => unknown): void {
	try {
		parse();
	} catch (error) {
		if (!(error instanceof SternaError)) throw error;
		expect(["invalid", "forbidden"]).toContain(error.code);
		expect(error.message.length).toBeGreaterThan(10);
	}
}

test("whatever stands where a pack's end, directory or header should be, the answer is a sentence", () => {
	const packId = newPackId("0123456789abcdef", "data");
	const end = fc.tuple(fc.integer({ min: 0, max: 2 ** 32 }), fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1), fc.boolean());
	fc.assert(
		fc.property(end, bytes(200), ([packBytes, offset, length, magic], noise) => {
			const tail = Buffer.alloc(12);
			tail.writeUInt32LE(offset, 0);
			tail.writeUInt32LE(length, 4);
			if (magic) tail.write("STPE", 8, "ascii");
			answers(() => {
				const found = parseTrailer(packId, packBytes, tail);
				expect(found.offset + found.length).toBeLessThanOrEqual(packBytes);
			});
			answers(() => parseTrailer(packId, packBytes, noise));
			answers(() => parseDirectory(packId, sealing, { sealed: noise, offset, plainBytes: 4096 }));
			answers(() => checkHeader(packId, noise));
		}),
		runs,
	);
});

test("a directory says what was put into the pack, and any changed byte of it is noticed", () => {
	const plainBytes = 300;
	const frame = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 299 }), fc.integer({ min: 0, max: 4 }));
	const frames = fc.array(frame, { maxLength: 20 });
	fc.assert(
		fc.property(frames, fc.boolean(), fc.double({ min: 0, max: 0.999, noNaN: true }), (content, isTree, where) => {
			const packId = newPackId(packOwner(newId(RepositoryId)), isTree ? "tree" : "data");
			expect(packKind(packId)).toBe(isTree ? "tree" : "data");
			const builder = new PackBuilder(packId, sealing, new Uint8Array(20 * 1300 + packOverheadBytes(80)));
			const references = content.flatMap(([compressed, size], index) => {
				const blocks = isTree ? 1 : Math.max(1, size);
				const hashes = Array.from({ length: blocks }, (_, at) => new Uint8Array(32).fill(4 * index + at));
				const payload = size === 0 ? new Uint8Array(plainBytes) : compressed;
				return builder.seal(hashes, payload, { compressed: size > 0, plainBytes: blocks * plainBytes });
			});
			const sizeBytes = builder.sizeBytes;
			const pack = builder.finish();
			expect(pack.length).toBe(sizeBytes);
			checkHeader(packId, pack.subarray(0, packHeaderBytes));
			const { offset, length } = parseTrailer(packId, pack.length, pack);
			const directory = pack.slice(offset, offset + length);
			const parse = () => parseDirectory(packId, sealing, { sealed: directory, offset, plainBytes });
			expect(parse()).toEqual(
				references.map(({ packId: _, ...entry }) => ({ ...entry, hash: new Uint8Array(entry.hash) })),
			);
			if (references.length === 0) return;
			const at = Math.floor(where * directory.length);
			directory[at] = (directory[at] ?? 0) ^ 1;
			expect(parse).toThrow(SternaError);
		}),
		{ numRuns: 300 },
	);
});

test("a reference comes back as it was written, and noise in its place is a hole, a reference or an error", () => {
	const reference: fc.Arbitrary<Reference> = fc
		.record({
			hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
			packId: fc.constantFrom("data" as const, "tree" as const).map((kind) => newPackId("00ff00ff00ff00ff", kind)),
			offset: fc.nat(2 ** 32 - 1),
			...part,
		})
		.map(withIndex);
	fc.assert(
		fc.property(reference, fc.uint8Array({ minLength: 56, maxLength: 56 }), (wanted, noise) => {
			const node = new Uint8Array(3 * referenceBytes);
			writeReference(node, referenceBytes, wanted);
			expect(readReference(node, referenceBytes)).toEqual(wanted);
			expect(readReference(node, 0)).toBeNull();
			writeReference(node, referenceBytes, null);
			expect(readReference(node, referenceBytes)).toBeNull();
			answers(() => readReference(noise, 0));
		}),
		runs,
	);
});

test("small objects open only where they were sealed, and noise opens nowhere", () => {
	const elsewhere = new Sealing(newId(RepositoryId), newKeyring());
	fc.assert(
		fc.property(bytes(300), bytes(100), fc.nat(), (noise, plain, where) => {
			answers(() => sealing.openObject("points/x", noise));
			const sealed = sealing.sealObject("points/x", plain);
			expect(new Uint8Array(sealing.openObject("points/x", sealed))).toEqual(new Uint8Array(plain));
			expect(() => sealing.openObject("points/y", sealed)).toThrow(/not as it was written/);
			expect(() => elsewhere.openObject("points/x", sealed)).toThrow(/not as it was written/);
			const at = where % sealed.length;
			sealed[at] = (sealed[at] ?? 0) ^ 0x40;
			expect(() => sealing.openObject("points/x", sealed)).toThrow(SternaError);
		}),
		runs,
	);
});

test("any text in a sealed record is a record or an error that names the object", () => {
	const schemas = [PointRecord, SessionRecord, CollectionRecord, SuspectRecord];
	const text = fc.oneof(fc.json(), fc.string(), fc.constant('{"is":"point","roots":[{"volumeId":1}]}'));
	fc.assert(
		fc.property(text, fc.constantFrom(...schemas), (content, schema) => {
			const sealed = sealing.sealObject("points/x", Buffer.from(content));
			answers(() => parseRecord(sealing, "points/x", sealed, schema));
		}),
		runs,
	);
});

test("notes of compacted packs come back as they were written; half an entry is refused", () => {
	const packId = newPackId("0123456789abcdef", "data");
	const to = fc.record({ packId: fc.constant(packId), offset: fc.nat(2 ** 32 - 1), ...part }).map(withIndex);
	const from = fc.record({ offset: fc.nat(2 ** 32 - 1), frameIndex: fc.nat(3) });
	const entry = fc.tuple(from, to);
	fc.assert(
		fc.property(fc.array(entry, { maxLength: 50 }), bytes(100), (entries, noise) => {
			const note = new Map(entries.map(([place, moved]) => [placeKey(place), moved]));
			expect(decodeForwarding("moved/x", encodeForwarding(note))).toEqual(note);
			answers(() => decodeForwarding("moved/x", noise));
		}),
		runs,
	);
});
