import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { Accelerator, GuestSpec } from "@sterna/shared/guest";
import { VolumeId } from "@sterna/shared/ids";
import { VolumeSeat } from "@sterna/shared/volume";
import { z } from "zod";
import { syncFile } from "./sync-file.ts";

/** Which of the two files is the volume says its entry in `volumes`: `from` until the guest's disk is the new one. */
const MovingVolume = z.strictObject({
	volumeId: VolumeId,
	from: z.string(),
	to: z.string(),
	/** `moves` of the volume when it is at `to`. */
	moves: z.int(),
	/** The state in which the guest was when its CPUs were held for the change of files; null while they are not. */
	heldFrom: z.enum(["running", "paused"]).nullable(),
});

/** What a later life of the driver must know of a guest's process; kept in the guest's run folder. */
export const GuestRecord = z.strictObject({
	spec: GuestSpec,
	machine: z.string(),
	accelerator: Accelerator,
	uid: z.int().nullable(),
	/** In the order in which the process got them, which is the spec's. Processes of earlier releases have no seats. */
	volumes: z.array(
		z.strictObject({
			path: z.string(),
			...VolumeSeat.shape,
			port: VolumeSeat.shape.port.default(null),
			moves: VolumeSeat.shape.moves.default(0),
		}),
	),
	/** A volume on its way to another place; what of the two files is nobody's is deleted by whoever finds this. */
	moving: MovingVolume.nullable().default(null),
	/** What the volumes that are not completely here are read from. */
	sources: z.array(z.strictObject({ volumeId: VolumeId, socket: z.string(), exportName: z.string() })).default([]),
	/** Taps to remove with the process, by NIC; null for one without. */
	taps: z.array(z.string().nullable()),
	/** A migration's target that has not been released yet. */
	incoming: z.boolean(),
	/** How the process ended; null while it is not known to have. */
	ending: z.string().nullable(),
});
export type GuestRecord = z.infer<typeof GuestRecord>;
export type RecordedVolume = GuestRecord["volumes"][number];

/** Durable when fulfilled: written beside, synced, renamed, and the folder synced. */
export async function writeRecord(path: string, record: GuestRecord): Promise<void> {
	const file = await open(`${path}.new`, "w", 0o600);
	try {
		await file.writeFile(JSON.stringify(record));
		await file.sync();
	} finally {
		await file.close();
	}
	await rename(`${path}.new`, path);
	await syncFile(dirname(path));
}

/** Null when there is none, or none that can be read: such a guest cannot be ours. */
export async function readRecord(path: string): Promise<GuestRecord | null> {
	const text = await readFile(path, "utf8").catch(() => null);
	if (text === null) return null;
	try {
		return GuestRecord.parse(JSON.parse(text));
	} catch {
		return null;
	}
}
