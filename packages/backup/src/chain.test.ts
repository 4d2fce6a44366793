import { RecoveryPoint } from "@sterna/shared/backup";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bitmapName, type ChainFacts, planChain, type TrackedVolume, trackedBytes } from "./chain.ts";

const volumeId = newId(VolumeId);
const spec = GuestSpec.parse({
	id: newId(GuestId),
	name: "db",
	vcpus: 1,
	memoryBytes: 64 * MiB,
	boot: { from: "disk" },
	volumes: [{ id: volumeId, pool: "local", sizeBytes: 64 * MiB }],
	nics: [],
});

function point(overrides: Partial<RecoveryPoint> = {}): RecoveryPoint {
	return RecoveryPoint.parse({
		pointId: newId(PointId),
		repositoryId: newId(RepositoryId),
		guestId: spec.id,
		guestName: spec.name,
		hostId: newId(HostId),
		takenAt: 1000,
		finishedAt: 2000,
		parentPointId: null,
		consistency: "crash",
		consistencyRemark: null,
		spec,
		volumes: [savedVolume()],
		...overrides,
	});
}

function savedVolume(overrides: Partial<RecoveryPoint["volumes"][number]> = {}): RecoveryPoint["volumes"][number] {
	const read = { read: "whole", reason: "firstBackup" } as const;
	return { volumeId, sizeBytes: 64 * MiB, readBytes: 0, storedBytes: 0, changedBytes: 0, ...read, ...overrides };
}

function bitmap(of: PointId, overrides: Partial<TrackedVolume["bitmaps"][number]> = {}) {
	const sound = { granularityBytes: trackedBytes, recording: true, inconsistent: false, dirtyBytes: 3 * trackedBytes };
	return { name: bitmapName(of), ...sound, ...overrides };
}

function tracked(...bitmaps: TrackedVolume["bitmaps"]): TrackedVolume {
	return { volumeId, sizeBytes: 64 * MiB, allocatedBytes: 20 * MiB, bitmaps };
}

function plan(facts: Partial<ChainFacts>) {
	const { parentPointId, volumes } = planChain({
		points: [],
		remembered: [],
		damaged: [],
		volumes: [tracked()],
		readWhole: false,
		...facts,
	});
	const [volume] = volumes;
	return { parentPointId, ...volume };
}

test("a bitmap's name fits the driver's 31 characters and tells its point", () => {
	const name = bitmapName(PointId.parse("0123abcd-4567-4890-abcd-ef0123456789"));
	expect(name).toBe("st-0123abcd45674890abcdef012345");
	expect(name.length).toBeLessThanOrEqual(31);
});

describe("what the next run reads", () => {
	const last = point();
	const { pointId } = last;

	test("the changes alone, when a bitmap began at the last point and has recorded since", () => {
		expect(plan({ points: [last], volumes: [tracked(bitmap(pointId))] })).toEqual({
			parentPointId: pointId,
			volumeId,
			sizeBytes: 64 * MiB,
			read: "changes",
			reason: "unchangedChain",
			readBytes: 3 * trackedBytes,
			since: bitmapName(pointId),
			inherit: true,
			stale: [],
		});
	});

	test.each([
		["firstBackup", {}],
		["lastPointGone", { remembered: [pointId], volumes: [tracked(bitmap(pointId))] }],
		["newVolume", { points: [point({ volumes: [] })] }],
		["bitmapMissing", { points: [last] }],
		["bitmapInconsistent", { points: [last], volumes: [tracked(bitmap(pointId, { inconsistent: true }))] }],
		["bitmapInconsistent", { points: [last], volumes: [tracked(bitmap(pointId, { recording: false }))] }],
		["bitmapInconsistent", { points: [last], volumes: [tracked(bitmap(pointId, { granularityBytes: 1 * MiB }))] }],
		["bitmapOfOtherPoint", { points: [last], volumes: [tracked(bitmap(newId(PointId)))] }],
		["askedFor", { points: [last], volumes: [tracked(bitmap(pointId))], readWhole: true }],
		[
			"volumeShrunk",
			{
				points: [point({ pointId, volumes: [savedVolume({ sizeBytes: 65 * MiB })] })],
				volumes: [tracked(bitmap(pointId))],
			},
		],
		["lastPointDamaged", { points: [last], volumes: [tracked(bitmap(pointId))], damaged: [{ pointId, volumeId }] }],
	] satisfies [string, Partial<ChainFacts>][])("everything, because of %s", (reason, facts) => {
		expect(plan(facts)).toMatchObject({ read: "whole", reason, since: null, inherit: false, readBytes: 20 * MiB });
	});

	test("the changes of a grown volume: what is new was written or is zeros", () => {
		const volumes = [{ ...tracked(bitmap(pointId)), sizeBytes: 128 * MiB }];
		expect(plan({ points: [last], volumes })).toMatchObject({ reason: "unchangedChain", sizeBytes: 128 * MiB });
	});

	test("the changes since an older point, when the newer one's bitmap never began: its run did not end regularly", () => {
		const newer = point({ takenAt: 9000, parentPointId: pointId });
		expect(plan({ points: [last, newer], volumes: [tracked(bitmap(pointId))] })).toMatchObject({
			parentPointId: pointId,
			reason: "unchangedChain",
		});
	});

	test("the changes alone also after the clock jumped back a year over the last runs", () => {
		const fromTheFuture = point({ takenAt: 1000 + 365 * 86_400_000 });
		const newest = point({ takenAt: 2000, parentPointId: fromTheFuture.pointId });
		expect(plan({ points: [newest, fromTheFuture], volumes: [tracked(bitmap(newest.pointId))] })).toMatchObject({
			parentPointId: newest.pointId,
			reason: "unchangedChain",
		});
	});

	test("the bitmap of another repository is left alone; one of an older point of this chain is to be removed", () => {
		const [gone, foreign, older] = [newId(PointId), newId(PointId), point()];
		const volumes = [
			tracked(bitmap(pointId), bitmap(gone), bitmap(foreign), bitmap(older.pointId, { recording: false })),
		];
		const planned = plan({ points: [{ ...last, parentPointId: older.pointId }, older], remembered: [gone], volumes });
		expect(planned).toMatchObject({ reason: "unchangedChain", since: bitmapName(pointId) });
		expect(planned.stale?.toSorted()).toEqual([bitmapName(gone), bitmapName(older.pointId)].toSorted());
	});
});

test("whatever the facts, changes are read only by a sound bitmap of exactly the parent, and order means nothing", () => {
	const ids = Array.from({ length: 4 }, () => newId(PointId));
	const anyId = fc.constantFrom(...ids);
	const anyBitmap = fc.record({
		of: anyId,
		recording: fc.boolean(),
		inconsistent: fc.boolean(),
		granularityBytes: fc.constantFrom(trackedBytes, 2 * trackedBytes),
	});
	const anyPoint = fc.record({
		pointId: anyId,
		parentPointId: fc.option(anyId),
		takenAt: fc.nat(10),
		hasVolume: fc.boolean(),
	});
	const anyFacts = fc.record({
		points: fc.uniqueArray(anyPoint, { selector: ({ pointId }) => pointId }),
		bitmaps: fc.uniqueArray(anyBitmap, { selector: ({ of }) => of }),
		remembered: fc.uniqueArray(anyId),
		damaged: fc.uniqueArray(anyId),
		readWhole: fc.boolean(),
	});
	fc.assert(
		fc.property(anyFacts, ({ points, bitmaps, remembered, damaged, readWhole }) => {
			const facts: ChainFacts = {
				points: points.map(({ hasVolume, ...one }) => point({ ...one, volumes: hasVolume ? [savedVolume()] : [] })),
				volumes: [tracked(...bitmaps.map(({ of, ...one }) => bitmap(of, one)))],
				remembered,
				damaged: damaged.map((pointId) => ({ pointId, volumeId })),
				readWhole,
			};
			const planned = planChain(facts);
			const [volume] = planned.volumes;
			expect(planChain({ ...facts, points: facts.points.toReversed() }).parentPointId).toBe(planned.parentPointId);
			expect(planned.parentPointId === null).toBe(points.length === 0);
			expect(volume?.stale).not.toContain(volume?.since);
			if (volume?.read !== "changes") {
				expect(volume).toMatchObject({ since: null, inherit: false });
				return;
			}
			const found = bitmaps.find(({ of }) => of === planned.parentPointId);
			expect(found).toMatchObject({ recording: true, inconsistent: false, granularityBytes: trackedBytes });
			expect(volume.since).toBe(planned.parentPointId && bitmapName(planned.parentPointId));
			expect(damaged).not.toContain(planned.parentPointId);
		}),
		{ seed: 3, numRuns: 500 },
	);
});
