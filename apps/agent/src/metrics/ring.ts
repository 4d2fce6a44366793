import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { GuestMetrics } from "@sterna/shared/guest";
import { HostMetrics } from "@sterna/shared/host";
import type { GuestId } from "@sterna/shared/ids";

/** How samples of one kind lie in a record: `at` first, then the fields in this order; null is stored as NaN. */
interface Layout<Sample extends { at: number }> {
	fields: readonly string[];
	/** Null when the numbers are no sample. */
	decode(record: Record<string, number | null>): Sample | null;
}

export interface RingOptions {
	path: string;
	/** One record per period; a second sample in the same period replaces the first. */
	periodMs: number;
	/** Records kept; the file never gets larger than these. */
	capacity: number;
}

const headerBytes = 64;
const magic = "sterna metrics 1";

/**
 * The latest samples in a file of fixed size. Where a sample lies follows from its time alone, so there is no pointer
 * that a crash could leave wrong; a checksum per record tells a torn write, which then counts as missing.
 */
export class Ring<Sample extends { at: number }> {
	readonly #file: FileHandle;
	readonly #layout: Layout<Sample>;
	readonly #options: RingOptions;

	/** Opens the file, or begins a new one when there is none or its layout is another. */
	static async open<Sample extends { at: number }>(
		layout: Layout<Sample>,
		options: RingOptions,
	): Promise<Ring<Sample>> {
		const file = await open(options.path, constants.O_RDWR | constants.O_CREAT, 0o600);
		try {
			const header = headerOf(layout, options);
			const found = Buffer.alloc(headerBytes);
			await file.read(found, 0, headerBytes, 0);
			if (!found.equals(header)) {
				await file.truncate(0);
				await file.write(header, 0, headerBytes, 0);
			}
			return new Ring(file, layout, options);
		} catch (error) {
			await file.close();
			throw error;
		}
	}

	private constructor(file: FileHandle, layout: Layout<Sample>, options: RingOptions) {
		this.#file = file;
		this.#layout = layout;
		this.#options = options;
	}

	async append(sample: Sample): Promise<void> {
		const values = new Map<string, unknown>(Object.entries(sample));
		const size = recordBytes(this.#layout);
		const record = Buffer.alloc(size);
		record.writeDoubleLE(sample.at, 0);
		for (const [index, field] of this.#layout.fields.entries()) {
			const value = values.get(field);
			record.writeDoubleLE(typeof value === "number" ? value : Number.NaN, 8 * (index + 1));
		}
		record.writeUInt32LE(crc32(record.subarray(0, size - 8)), size - 8);
		const slot = Math.floor(sample.at / this.#options.periodMs) % this.#options.capacity;
		await this.#file.write(record, 0, size, headerBytes + slot * size);
	}

	/** Samples not older than `since`, oldest first; at most the ring's capacity. */
	async since(since: number): Promise<Sample[]> {
		const size = recordBytes(this.#layout);
		const content = Buffer.alloc(this.#options.capacity * size);
		const { bytesRead } = await this.#file.read(content, 0, content.length, headerBytes);
		const samples: Sample[] = [];
		for (let offset = 0; offset + size <= bytesRead; offset += size) {
			const record = content.subarray(offset, offset + size);
			const at = record.readDoubleLE(0);
			if (!(at > 0 && at >= since)) continue;
			if (record.readUInt32LE(size - 8) !== crc32(record.subarray(0, size - 8))) continue;
			const sample = this.#layout.decode(this.#read(record));
			if (sample) samples.push(sample);
		}
		return samples.sort((a, b) => a.at - b.at);
	}

	async close(): Promise<void> {
		await this.#file.close();
	}

	#read(record: Buffer): Record<string, number | null> {
		const values: Record<string, number | null> = { at: record.readDoubleLE(0) };
		for (const [index, field] of this.#layout.fields.entries()) {
			const value = record.readDoubleLE(8 * (index + 1));
			values[field] = Number.isNaN(value) ? null : value;
		}
		return values;
	}
}

/** A ring of the whole server's samples. */
export function openHostRing(options: RingOptions): Promise<Ring<HostMetrics>> {
	const fields = Object.keys(HostMetrics.shape).filter((field) => field !== "at");
	return Ring.open({ fields, decode: (record) => HostMetrics.safeParse(record).data ?? null }, options);
}

/** A ring of one guest's samples. */
export function openGuestRing(guestId: GuestId, options: RingOptions): Promise<Ring<GuestMetrics>> {
	const fields = Object.keys(GuestMetrics.shape).filter((field) => field !== "at" && field !== "guestId");
	const decode = (record: Record<string, number | null>) => GuestMetrics.safeParse({ ...record, guestId }).data ?? null;
	return Ring.open({ fields, decode }, options);
}

/** Time, the fields, and the checksum in eight bytes of its own. */
function recordBytes(layout: { fields: readonly string[] }): number {
	return 8 * (layout.fields.length + 2);
}

function headerOf(layout: { fields: readonly string[] }, { periodMs, capacity }: RingOptions): Buffer {
	const header = Buffer.alloc(headerBytes);
	const shape = crc32(layout.fields.join(","));
	header.write(`${magic} ${shape.toString(16)} ${periodMs} ${capacity}`, "latin1");
	return header;
}
