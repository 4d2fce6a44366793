import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import { readPoint } from "../format/manifest.ts";
import { readerKey } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import { endReading } from "../read/hold.ts";
import { openPoint } from "../read/point-reader.ts";
import { listPoints } from "../read/points.ts";
import { pointOf } from "../testing/points.ts";
import { collect } from "../upkeep/collect.ts";
import { prune } from "../upkeep/prune.ts";
import { scrub } from "../upkeep/scrub.ts";
import { beginSession } from "../write/session.ts";
import { blockSizeBytes, diskBlocks, type IntendedPoint, type Reading, Violation, type World } from "./world.ts";

const options = { signal: new AbortController().signal };
const sizeBytes = diskBlocks * blockSizeBytes;

/** Backs up a disk that differs a little from one of the points that are there, or from nothing. */
export async function write(world: World, opened: Opened, guestId: GuestId): Promise<void> {
	const { random, volumeId } = world;
	const { points } = await listPoints(opened).catch(nothingWhenLost);
	const parent = points.length > 0 && random.chance(0.85) ? random.pick(points).pointId : null;
	const before = parent && world.points.get(parent)?.content;
	if (parent && !before) throw new Violation(`${parent} is visible, and nobody wrote it`);

	const pointId = world.newPointId();
	const content = before ? Uint8Array.from(before) : new Uint8Array(sizeBytes);
	const changed = new Set<number>();
	const share = before ? random.pick([0.01, 0.03, 0.1]) : 0.1;
	for (let block = 0; block < diskBlocks; block++) {
		if (!random.chance(share)) continue;
		content.set(world.newBlock(), block * blockSizeBytes);
		changed.add(block);
	}
	const intended: IntendedPoint = { pointId, content, outcome: "running", isPruned: false, isGone: false };
	world.points.set(pointId, intended);
	const isWhole = !before || random.chance(0.3);
	try {
		const session = await beginSession(opened, { pointId, parentPointId: parent });
		const writer = session.volume({ volumeId, sizeBytes, inherit: !isWhole });
		for (let block = 0; block < diskBlocks; block++) {
			const at = block * blockSizeBytes;
			if (isWhole || changed.has(block)) await writer.write(at, content.subarray(at, at + blockSizeBytes));
		}
		await writer.finish();
		if (random.chance(0.1)) {
			intended.outcome = "refused";
			await session.abandon();
			return;
		}
		const point = { ...pointOf(pointId, parent, [volumeId], world.scheduler.steps), guestId, hostId: world.hostId };
		await session.commit(point, new Map([[volumeId, { read: "whole", reason: "firstBackup" }]]));
		intended.outcome = "committed";
	} catch (error) {
		if (intended.outcome === "running") intended.outcome = codeOf(error) === "unavailable" ? "unknown" : "refused";
		if (["unavailable", "not_found", "conflict"].includes(codeOf(error))) return;
		// A session that was taken for dead has lost its protection, and may find that its parent went.
		if (codeOf(error) === "invalid" && (await wasBuried(world, intended))) return;
		throw error;
	}
}

/** Restores a point while others prune and collect: right, or refused because the point was pruned. */
export async function read(world: World, opened: Opened): Promise<void> {
	const { points } = await listPoints(opened).catch(nothingWhenLost);
	if (points.length === 0) return;
	const { pointId } = world.random.pick(points);
	const intended = world.points.get(pointId);
	if (!intended) throw new Violation(`${pointId} is visible, and nobody wrote it`);
	try {
		await compare(opened, intended);
	} catch (error) {
		if (codeOf(error) === "unavailable") return;
		if (intended.isPruned && ["not_found", "invalid"].includes(codeOf(error))) return;
		throw error;
	}
}

/**
 * Reads a point for a long time, piece by piece, and goes on with it in the next life: whatever is pruned and collected
 * meanwhile, nothing is missing, unless a collection has taken the reader for dead.
 */
export async function linger(world: World, opened: Opened, guestId: GuestId): Promise<void> {
	const { random, volumeId, deeds } = world;
	const reading = world.readings.get(guestId) ?? (await chooseReading(world, opened));
	const intended = reading && world.points.get(reading.pointId);
	if (!reading || !intended) return;
	world.readings.set(guestId, reading);
	const { readerId, pointId, begunAt } = reading;
	try {
		const reader = await openPoint(opened, pointId, { readerId });
		reading.isHeld = true;
		try {
			for (let pieces = 2 + random.below(5); pieces > 0; pieces--) {
				const offset = random.below(diskBlocks - 16) * blockSizeBytes;
				const bytes = await reader.read(volumeId, offset, 16 * blockSizeBytes);
				if (Buffer.compare(bytes, intended.content.subarray(offset, offset + bytes.length)) !== 0)
					throw new Violation(`${pointId} is not read as it was written`);
				if (intended.isGone && deeds.collections >= begunAt + 2) world.heldReads++;
				for (let pause = random.below(6); pause > 0; pause--) await opened.storage.size("config");
			}
		} finally {
			await reader.close();
		}
		if (!random.chance(0.04)) return;
		await endReading(opened, readerId);
		world.readings.delete(guestId);
	} catch (error) {
		if (codeOf(error) === "unavailable") return;
		const mayBeGone = world.dropped.has(readerKey(readerId)) || !reading.isHeld;
		if (codeOf(error) !== "not_found" || !intended.isPruned || !mayBeGone) throw error;
		world.readings.delete(guestId);
	}
}

async function chooseReading(world: World, opened: Opened): Promise<Reading | null> {
	const { points } = await listPoints(opened).catch(nothingWhenLost);
	if (points.length === 0) return null;
	const { pointId } = world.random.pick(points);
	return { readerId: world.newReaderId(), pointId, isHeld: false, begunAt: world.deeds.collections };
}

/** Prunes some points, more when there are many. */
export async function thin(world: World, opened: Opened): Promise<void> {
	const { points } = await listPoints(opened).catch(nothingWhenLost);
	const doomed = points.filter(() => world.random.chance(points.length > 12 ? 0.6 : 0.2));
	const intended = doomed.flatMap(({ pointId }) => world.points.get(pointId) ?? []);
	for (const point of intended) point.isPruned = true;
	try {
		await prune(
			opened,
			intended.map(({ pointId }) => pointId),
		);
		for (const point of intended) point.isGone = true;
	} catch (error) {
		if (codeOf(error) !== "unavailable") throw error;
	}
}

export async function free(world: World, opened: Opened): Promise<void> {
	try {
		await collect(opened, options, () => world.now());
	} catch (error) {
		if (codeOf(error) !== "unavailable") throw error;
	}
}

/** Nothing is damaged here, so a scrub that finds damage is wrong. */
export async function check(_world: World, opened: Opened): Promise<void> {
	try {
		const { damages } = await scrub(opened, options);
		if (damages.length > 0)
			throw new Violation(`a scrub finds damage where is none: ${damages[0]?.object}: ${damages[0]?.text}`);
	} catch (error) {
		if (codeOf(error) !== "unavailable") throw error;
	}
}

/** Every visible point is what its writer meant, every committed one that nobody pruned is visible, nothing else is. */
export async function verify(world: World): Promise<number> {
	const opened = world.openDirectly();
	const { points, unreadable } = await listPoints(opened);
	if (unreadable.length > 0) throw new Violation(`a manifest cannot be read: ${unreadable[0]?.reason}`);
	const visible = new Set(points.map(({ pointId }) => pointId));
	for (const pointId of visible) {
		const intended = world.points.get(pointId);
		if (!intended) throw new Violation(`${pointId} is visible, and nobody wrote it`);
		if (intended.outcome === "refused")
			throw new Violation(`${pointId} is visible, and its writer was told that it is not`);
		if (intended.isGone) throw new Violation(`${pointId} is visible, and it was pruned`);
		await compare(opened, intended);
	}
	for (const { pointId, outcome, isPruned } of world.points.values()) {
		if (outcome === "committed" && !isPruned && !visible.has(pointId)) {
			throw new Violation(`${pointId} was committed and is not visible`);
		}
	}
	return visible.size;
}

async function compare(opened: Opened, { pointId, content }: IntendedPoint): Promise<void> {
	const reader = await openPoint(opened, pointId);
	const restored = new Uint8Array(content.length);
	for (const { volumeId } of reader.point.volumes) {
		await reader.restore(volumeId, async (offset, data) => restored.set(data, offset), options);
	}
	await reader.close();
	if (Buffer.compare(restored, content) !== 0) throw new Violation(`${pointId} is not restored as it was written`);
}

async function wasBuried(world: World, { pointId }: IntendedPoint): Promise<boolean> {
	const record = await readPoint(world.openDirectly(), pointId).catch(() => null);
	return record?.is === "abandoned";
}

function nothingWhenLost(error: unknown): { points: [] } {
	if (codeOf(error) === "unavailable") return { points: [] };
	throw error;
}

export function codeOf(error: unknown): string {
	return error instanceof SternaError ? error.code : "";
}
