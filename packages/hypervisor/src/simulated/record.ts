import { readFile, rename, writeFile } from "node:fs/promises";
import { GuestSpec } from "@sterna/shared/guest";
import { VolumeId } from "@sterna/shared/ids";
import { VolumeSeat } from "@sterna/shared/volume";
import { z } from "zod";
import type { StartRequest } from "../hypervisor.ts";

/** A simulated guest as its file says it. There is no process: the guest is what the file and the clock make it. */
export const SimulatedGuest = z.strictObject({
	spec: GuestSpec,
	machine: z.string(),
	volumes: z.array(z.strictObject({ volumeId: VolumeId, path: z.string() })),
	/** `ended`: as if its process were gone. */
	state: z.enum(["running", "paused", "loading", "loaded", "handedOver", "ended"]),
	/** What the guest had counted when `countedAt` was. While it runs it counts on, one per tick. */
	count: z.int().min(0),
	countedAt: z.number(),
	/** When it was first started: its counters are computed from it. */
	startedAt: z.number(),
	copiedVolumes: z.array(VolumeId),
	seats: z.array(VolumeSeat).default([]),
	ending: z.string().nullable(),
});
export type SimulatedGuest = z.infer<typeof SimulatedGuest>;

/** A guest that begins to count now. */
export function newGuest(
	{ spec, volumes }: StartRequest,
	how: Pick<SimulatedGuest, "machine" | "state" | "copiedVolumes" | "seats">,
): SimulatedGuest {
	const now = Date.now();
	const places = volumes.map(({ volumeId, path }) => ({ volumeId, path }));
	return { spec, ...how, volumes: places, count: 0, countedAt: now, startedAt: now, ending: null };
}

/** A bitmap of a simulated volume: counts that were written since it began, until it ended. */
export const SimulatedBitmap = z.strictObject({
	name: z.string(),
	beganAt: z.int(),
	endedAt: z.int().nullable(),
	/** Merged from another. */
	dirty: z.boolean(),
	inconsistent: z.boolean(),
});
export type SimulatedBitmap = z.infer<typeof SimulatedBitmap>;

/** A simulated volume: its size, and the count that a guest wrote last, which is all that it has in it. */
export const SimulatedVolume = z.strictObject({
	simulatedVolumeBytes: z.int().min(0),
	count: z.int().min(0),
	bitmaps: z.array(SimulatedBitmap).default([]),
	/** Bitmaps that an orderly end wrote into the file; the others die with a killed process. */
	stored: z.array(z.string()).default([]),
	/** All of what it was read from is here. */
	filled: z.boolean().default(false),
	/** What it is read from is needed until all of that is here. */
	incomplete: z.boolean().default(false),
});
export type SimulatedVolume = z.infer<typeof SimulatedVolume>;

/** Null when there is no such file, or it is not one of ours. */
export async function readJsonFile<Value>(path: string, kind: z.ZodType<Value>): Promise<Value | null> {
	const text = await readFile(path, "utf8").catch(() => null);
	if (text === null) return null;
	try {
		return kind.parse(JSON.parse(text));
	} catch {
		return null;
	}
}

/** The old content or the new one, never a part. */
export async function writeJsonFile(
	path: string,
	value: SimulatedGuest | z.input<typeof SimulatedVolume>,
): Promise<void> {
	const partial = `${path}.${crypto.randomUUID().slice(0, 8)}.new`;
	await writeFile(partial, JSON.stringify(value));
	await rename(partial, path);
}
