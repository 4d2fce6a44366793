import type { NbdClient } from "@sterna/nbd/nbd";
import type { VolumeWriter } from "@sterna/repository/repository";
import { SternaError } from "@sterna/shared/errors";
import { KiB, MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { type CopyVolume, copyVolume } from "./copy.ts";

const never = () => new Promise<never>(() => {});

/** A disk full of data, each mebibyte of another byte, and a session that keeps what it is given, in order. */
function scene(
	what: Partial<Pick<CopyVolume, "turn">> & Partial<Pick<NbdClient, "read">> & Partial<Pick<VolumeWriter, "write">>,
) {
	const sizeBytes = 16 * MiB;
	const seen = { readBytes: 0, written: [] as [at: number, byte: number | undefined][] };
	const copying = copyVolume({
		client: {
			read: what.read ?? (async (offset, lengthBytes) => Buffer.alloc(lengthBytes, offset / MiB)),
			async *extents(_context, offset, lengthBytes) {
				yield { offset, lengthBytes, flags: 0 };
			},
		},
		changes: null,
		sizeBytes,
		blockSizeBytes: 64 * KiB,
		writer: {
			write: what.write ?? (async (offset, data) => void seen.written.push([offset / MiB, data[0]])),
			zero: async () => {},
		},
		turn: what.turn ?? (async () => {}),
		onRead: (bytes) => {
			seen.readBytes += bytes;
		},
	});
	return { copying, seen, sizeBytes };
}

test("a disk is written in rising order, whichever of its pieces arrives first", async () => {
	const { copying, seen, sizeBytes } = scene({
		read: async (offset, lengthBytes) => {
			// Each second one arrives late.
			if ((offset / MiB) % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
			return Buffer.alloc(lengthBytes, offset / MiB);
		},
	});
	await copying;
	expect(seen.written).toEqual(Array.from({ length: 16 }, (_, at) => [at, at]));
	expect(seen.readBytes).toBe(sizeBytes);
});

test("what has arrived is written and told while the next piece waits for its turn", async () => {
	let turns = 0;
	const { seen } = scene({ turn: async () => (++turns > 2 ? never() : undefined) });
	await expect.poll(() => seen.readBytes).toBe(2 * MiB);
});

test("a connection that is lost is heard at once, also while the next piece waits for its turn", async () => {
	let turns = 0;
	const { copying } = scene({
		turn: async () => (++turns > 1 ? never() : undefined),
		read: async () => {
			throw new SternaError("unavailable", "the connection is lost");
		},
	});
	await expect(copying).rejects.toMatchObject({ code: "unavailable" });
});

test("a session that takes no more ends the copy when nothing is asked of the disk any more", async () => {
	let open = 0;
	const { copying } = scene({
		read: async (_offset, lengthBytes) => {
			open += 1;
			await new Promise((resolve) => setTimeout(resolve, 5 * open));
			open -= 1;
			return Buffer.alloc(lengthBytes);
		},
		write: async () => {
			throw new SternaError("no_capacity", "the place is full");
		},
	});
	await expect(copying).rejects.toMatchObject({ code: "no_capacity" });
	expect(open).toBe(0);
});
