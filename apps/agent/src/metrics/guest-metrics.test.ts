import { GuestMetrics } from "@sterna/shared/guest";
import { GuestId, newId } from "@sterna/shared/ids";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { guestMetrics } from "./guest-metrics.ts";

const guest = { guestId: newId(GuestId), vcpus: 2 };
const stats = {
	cpuTimeMs: 1000,
	memoryResidentBytes: 5000,
	diskReadBytes: 10,
	diskWriteBytes: 20,
	diskWrites: 2,
	diskWriteTimeMs: 1,
	networkReceiveBytes: 30,
	networkTransmitBytes: 40,
};

describe("metrics of a guest", () => {
	it("are rates between two looks; the CPU's is a share of all its vCPUs", () => {
		const now = {
			cpuTimeMs: 6000,
			memoryResidentBytes: 6000,
			diskReadBytes: 5010,
			diskWriteBytes: 20,
			diskWrites: 2,
			diskWriteTimeMs: 1,
			networkReceiveBytes: 530,
			networkTransmitBytes: 90,
		};
		expect(guestMetrics(guest, { at: 1000, stats }, { at: 6000, stats: now })).toEqual({
			guestId: guest.guestId,
			at: 6000,
			cpuUsed: 0.5,
			memoryResidentBytes: 6000,
			diskReadBytesPerSecond: 1000,
			diskWriteBytesPerSecond: 0,
			networkReceiveBytesPerSecond: 100,
			networkTransmitBytesPerSecond: 10,
		});
	});

	it("are absent over the change from one process of the guest to the next", () => {
		expect(guestMetrics(guest, { at: 0, stats }, { at: 5000, stats: { ...stats, cpuTimeMs: 3 } })).toBeNull();
		expect(guestMetrics(guest, { at: 5000, stats }, { at: 5000, stats })).toBeNull();
	});

	it("never have a negative rate", () => {
		const any = fc.record({
			cpuTimeMs: fc.nat(),
			memoryResidentBytes: fc.nat(),
			diskReadBytes: fc.nat(),
			diskWriteBytes: fc.nat(),
			diskWrites: fc.nat(),
			diskWriteTimeMs: fc.nat(),
			networkReceiveBytes: fc.nat(),
			networkTransmitBytes: fc.nat(),
		});
		fc.assert(
			fc.property(any, any, (first, second) => {
				const metrics = guestMetrics(guest, { at: 0, stats: first }, { at: 5000, stats: second });
				expect(metrics === null || GuestMetrics.safeParse(metrics).success).toBe(true);
			}),
			{ seed: 9 },
		);
	});
});
