import { Finding } from "@sterna/shared/health";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { DiskErrors, diskErrorWindowMs } from "./disk-errors.ts";

const errorOf = (volumeId: VolumeId) =>
	({ type: "diskError", guestId: newId(GuestId), volumeId, operation: "write", text: "Input/output error" }) as const;

test("a guest's disk error degrades its host, and more of the same volume are counted in one finding", () => {
	const errors = new DiskErrors();
	const volumeId = newId(VolumeId);
	expect(errors.add(errorOf(volumeId), 1000)).toBe(true);
	expect(errors.add(errorOf(volumeId), 2000)).toBe(false);
	const [finding, ...others] = errors.findings(2000);
	expect(Finding.parse(finding)).toMatchObject({ severity: "degraded", relevant: true, value: 2, firstSeenAt: 1000 });
	expect(finding?.raw).toContain("write: Input/output error");
	expect(others).toEqual([]);
});

test("a volume without errors for an hour is no finding any more, and counts anew", () => {
	const errors = new DiskErrors();
	const volumeId = newId(VolumeId);
	errors.add(errorOf(volumeId), 0);
	expect(errors.findings(diskErrorWindowMs)).toHaveLength(1);
	expect(errors.findings(diskErrorWindowMs + 1)).toEqual([]);
	errors.add(errorOf(volumeId), diskErrorWindowMs + 2);
	expect(errors.findings(diskErrorWindowMs + 2)).toMatchObject([{ value: 1, firstSeenAt: diskErrorWindowMs + 2 }]);
});

test("errors of many volumes are told of the latest hundred", () => {
	const errors = new DiskErrors();
	const volumes = Array.from({ length: 101 }, () => newId(VolumeId));
	for (const [at, volumeId] of volumes.entries()) errors.add(errorOf(volumeId), at);
	const told = errors.findings(101).map(({ key }) => key);
	expect(told).toHaveLength(100);
	expect(told).not.toContain(`disk/volume-${volumes[0]}/guestErrors`);
});
