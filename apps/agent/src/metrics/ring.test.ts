import { appendFile, mkdtemp, open, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostMetrics } from "@sterna/shared/host";
import { GuestId, newId } from "@sterna/shared/ids";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openGuestRing, openHostRing } from "./ring.ts";

const startedAt = Date.UTC(2026, 0, 15);
const sample = (at: number): HostMetrics => ({
	at,
	cpuUsed: 0.25,
	loadAverage1: 1.5,
	memoryUsedBytes: 2 ** 40,
	memoryAvailableBytes: 7,
	diskReadBytesPerSecond: 0.1,
	diskWriteBytesPerSecond: 0,
	networkReceiveBytesPerSecond: 3,
	networkTransmitBytesPerSecond: 4,
	cpuPressure: 0.5,
	memoryPressure: null,
	ioPressure: 0,
});

describe("rings of metrics", () => {
	let folder = "";
	let path = "";
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), "sterna-ring-"));
		path = join(folder, "host.ring");
	});
	afterEach(() => rm(folder, { recursive: true }));

	const options = () => ({ path, periodMs: 5000, capacity: 10 });
	const at = (index: number) => startedAt + index * 5000;
	const fill = async (from: number, to: number) => {
		const ring = await openHostRing(options());
		for (let index = from; index < to; index++) await ring.append(sample(at(index)));
		await ring.close();
	};
	const times = async (since = 0) => {
		const ring = await openHostRing(options());
		const samples = await ring.since(since);
		await ring.close();
		return samples.map((one) => (one.at - startedAt) / 5000);
	};

	it("give back what was written, exactly, after a restart", async () => {
		await fill(0, 3);
		const ring = await openHostRing(options());
		expect(await ring.since(at(1))).toEqual([sample(at(1)), sample(at(2))]);
		await ring.close();
	});

	it("keep the latest samples in a file that grows no more", async () => {
		await fill(0, 10);
		const { size } = await stat(path);
		await fill(10, 37);
		expect(await times()).toEqual([27, 28, 29, 30, 31, 32, 33, 34, 35, 36]);
		expect((await stat(path)).size).toBe(size);
	});

	it("leave out samples that a torn write or a bad disk damaged", async () => {
		await fill(0, 5);
		const file = await open(path, "r+");
		const recordBytes = ((await file.stat()).size - 64) / (((startedAt / 5000) % 10) + 5);
		await file.write("damage", 64 + recordBytes * (((startedAt / 5000) % 10) + 2) + 12);
		await file.close();
		expect(await times()).toEqual([0, 1, 3, 4]);
		await truncate(path, (await stat(path)).size - 7);
		expect(await times()).toEqual([0, 1, 3]);
		await fill(4, 6);
		expect(await times()).toEqual([0, 1, 3, 4, 5]);
	});

	it("begin anew when the file has another layout or is no ring", async () => {
		await writeFile(path, "something else entirely".repeat(100));
		expect(await times()).toEqual([]);
		await fill(0, 2);
		const wider = await openHostRing({ ...options(), capacity: 20 });
		expect(await wider.since(0)).toEqual([]);
		await wider.close();
	});

	it("survive any damage without an invented sample", async () => {
		await fc.assert(
			fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), fc.nat(1500), async (bytes, place) => {
				await rm(path, { force: true });
				await fill(0, 10);
				const file = await open(path, "r+");
				await file.write(bytes, 0, bytes.length, place);
				await file.close();
				const ring = await openHostRing(options());
				for (const one of await ring.since(0)) expect(one).toEqual(sample(one.at));
				await ring.close();
			}),
			{ numRuns: 50, seed: 3 },
		);
	});

	it("keep a guest's samples under its id", async () => {
		const guestId = newId(GuestId);
		const metrics = {
			guestId,
			at: startedAt,
			cpuUsed: 0.5,
			memoryResidentBytes: 1,
			diskReadBytesPerSecond: 2,
			diskWriteBytesPerSecond: 3,
			networkReceiveBytesPerSecond: 4,
			networkTransmitBytesPerSecond: 5,
		};
		const ring = await openGuestRing(guestId, { ...options(), path: join(folder, "guest.ring") });
		await ring.append(metrics);
		await appendFile(join(folder, "guest.ring"), "tail");
		expect(await ring.since(0)).toEqual([metrics]);
		await ring.close();
	});
});
