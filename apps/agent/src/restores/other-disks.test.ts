import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, RestoreId, VolumeId } from "@sterna/shared/ids";
import { GiB, MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { refuseOtherDisks } from "./other-disks.ts";

const [system, data] = [newId(VolumeId), newId(VolumeId)];
const volume = (id: VolumeId, pool = "local") => ({ id, pool, sizeBytes: GiB });
const guest = GuestSpec.parse({
	id: newId(GuestId),
	name: "db-1",
	vcpus: 1,
	memoryBytes: 128 * MiB,
	boot: { from: "disk" },
	volumes: [volume(system), volume(data)],
	nics: [],
});
const lacking = { restoreIds: [newId(RestoreId)], volumeIds: [data] };

test("one disk is restored beside others that stay where they are, and a disk is added", () => {
	expect(() => refuseOtherDisks(guest, null, { spec: guest, brought: new Set([data]) })).not.toThrow();
	const added = newId(VolumeId);
	const spec = { ...guest, volumes: [...guest.volumes, volume(added)] };
	expect(() => refuseOtherDisks(guest, null, { spec, brought: new Set([added]) })).not.toThrow();
});

test("a disk that is restored may go to another pool, one that is not is where this server has it", () => {
	const spec = { ...guest, volumes: [volume(system), volume(data, "fast")] };
	expect(() => refuseOtherDisks(guest, null, { spec, brought: new Set([data]) })).not.toThrow();
	expect(() => refuseOtherDisks(guest, null, { spec, brought: new Set([system]) })).toThrow(
		`of guest db-1 the disks ${data} are in another pool than the restore says`,
	);
});

test("half-filled disks are restored too, or go: their last whole copy is not lost to the restore of another disk", () => {
	expect(() => refuseOtherDisks(guest, lacking, { spec: guest, brought: new Set([system]) })).toThrow(
		`of guest db-1 the disks ${data} are half filled and would stay so`,
	);
	expect(() => refuseOtherDisks(guest, lacking, { spec: guest, brought: new Set([system, data]) })).not.toThrow();
	const without = { ...guest, volumes: [volume(system)] };
	expect(() => refuseOtherDisks(guest, lacking, { spec: without, brought: new Set([system]) })).not.toThrow();
});
