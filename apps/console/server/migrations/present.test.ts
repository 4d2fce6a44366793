import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import { MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { progressOf } from "./present.ts";

const report = (change: Partial<MigrationReport>): MigrationReport => ({
	migrationId: newId(MigrationId),
	guestId: newId(GuestId),
	epoch: 2,
	sourceHostId: newId(HostId),
	targetHostId: newId(HostId),
	generation: 1,
	state: "running",
	phase: "copyMemory",
	startedAt: 0,
	endedAt: null,
	phases: [],
	disk: null,
	memory: null,
	predictedDowntimeMs: null,
	measuredDowntimeMs: null,
	error: null,
	journal: [],
	...change,
});
const disk = { totalBytes: 26 * MiB, transferredBytes: 26 * MiB };
const memory = (remainingBytes: number) => ({
	totalBytes: 130 * MiB,
	transferredBytes: 0,
	remainingBytes,
	passes: 1,
	dirtyBytesPerSecond: 0,
	bytesPerSecond: 0,
});

test.each([
	["nothing is known yet", report({}), 0],
	["the disks are copied and memory has not been measured", report({ disk }), 0.5],
	["the disks are copied and memory begins", report({ disk, memory: memory(130 * MiB) }), 26 / 156],
	["half of memory is left", report({ disk, memory: memory(65 * MiB) }), 91 / 156],
	["everything is sent", report({ disk, memory: memory(0) }), 0.98],
	["the guest is handed over", report({ phase: "handOver" }), 0.99],
	["the move is completed", report({ state: "completed" }), 1],
])("when %s the move stands at its share of all bytes", (_when, given, share) => {
	expect(progressOf(given)).toBeCloseTo(share, 5);
});
