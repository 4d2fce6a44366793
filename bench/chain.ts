import { appendFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { GuestId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { killGuestsBelow } from "../demo/processes.ts";
import { until } from "../demo/until.ts";
import {
	addTreeGuest,
	type BackupRig,
	backUp,
	copyVolume,
	differingBytes,
	openBackupRig,
	restoreRaw,
	serverOf,
	typeInto,
	untilState,
	untilWritten,
} from "./backup-rig.ts";

/** One row of what `./sterna bench chain` prints: what happened between two backups, and what the second one cost. */
export interface ChainRow {
	after: string;
	/** 64 KiB blocks that differ between the disks at the two instants, counted from the disks themselves. */
	changedBytes: number;
	uploadedBytes: number;
	ratio: number;
	readBytes: number;
	/** Why anything was read whole; empty when only changes were read. */
	wholeReads: string[];
	/** The point restored by `sterna-restore`, compared with the disk byte by byte. */
	identical: boolean;
}

interface World {
	rig: BackupRig;
	guestId: GuestId;
}

interface ChainCase {
	after: string;
	/** Leaves the guest running. */
	happen(world: World): Promise<void>;
}

const cases: readonly ChainCase[] = [
	{ after: "nothing but writes", happen: async () => {} },
	{
		after: "a live migration",
		happen: async ({ rig, guestId }) => {
			const from = (await serverOf(rig, guestId)).name;
			const { migrationId } = await rig.demo.api.guests.migrate.mutate({ guestId });
			await until("the end of the move", 180_000, async () => {
				const { state, errorMessage } = await rig.demo.api.migrations.get.query({ migrationId });
				if (state === "failed") throw new Error(errorMessage ?? "the move failed");
				return state === "completed";
			});
			if ((await serverOf(rig, guestId)).name === from) throw new Error("the guest did not move");
		},
	},
	{
		after: "a restart of the agent",
		happen: async ({ rig, guestId }) => {
			const server = await serverOf(rig, guestId);
			await server.stop();
			server.startAgent();
			await untilOnline(rig);
		},
	},
	{
		after: "kill -9 of the agent",
		happen: async ({ rig, guestId }) => {
			const server = await serverOf(rig, guestId);
			await server.killAgent();
			server.startAgent();
			await untilOnline(rig);
		},
	},
	{
		after: "kill -9 of QEMU",
		happen: async ({ rig, guestId }) => {
			await killGuestsBelow((await serverOf(rig, guestId)).dataDir);
			await untilState(rig, guestId, "crashed");
			await rig.demo.api.guests.start.mutate({ guestId });
			await untilState(rig, guestId, "running");
		},
	},
	{
		after: "the volume moved to another pool",
		happen: async ({ rig, guestId }) => {
			const volume = (await volumesOf(rig, guestId))[0];
			if (!volume) throw new Error("the guest has no volume");
			await rig.demo.api.guests.moveVolume.mutate({ id: guestId, volumeId: volume.id, pool: "shared" });
			await until("the volume to be in its new pool", 120_000, async () => {
				return (await volumesOf(rig, guestId))[0]?.pool === "shared";
			});
		},
	},
	{
		after: "the volume grown",
		happen: async ({ rig, guestId }) => {
			const volume = (await volumesOf(rig, guestId))[0];
			if (!volume) throw new Error("the guest has no volume");
			const sizeBytes = volume.sizeBytes + 512 * MiB;
			await rig.demo.api.guests.growVolume.mutate({ id: guestId, volumeId: volume.id, sizeBytes });
			await until("the volume to be larger", 60_000, async () => {
				return (await volumesOf(rig, guestId))[0]?.sizeBytes === sizeBytes;
			});
		},
	},
	{
		after: "a disk attached, and written to",
		happen: async ({ rig, guestId }) => {
			await rig.demo.api.guests.attachVolume.mutate({ id: guestId, pool: "local", sizeBytes: 256 * MiB });
			await until("the second volume", 60_000, async () => (await volumesOf(rig, guestId)).length === 2);
			await typeInto(rig, guestId, "\n");
			await typeInto(rig, guestId, "dd if=/dev/urandom of=/dev/vdb bs=64k count=128 seek=512 conv=fsync\n");
			await untilWritten(rig, guestId, 3);
		},
	},
	{
		after: "the guest stopped and started",
		happen: async ({ rig, guestId }) => {
			await rig.demo.api.guests.shutDown.mutate({ guestId });
			await untilState(rig, guestId, "stopped");
			await rig.demo.api.guests.start.mutate({ guestId });
			await untilState(rig, guestId, "running");
		},
	},
	{
		after: "a power cut of the host",
		happen: async ({ rig, guestId }) => {
			const server = await serverOf(rig, guestId);
			await server.killAgent();
			await killGuestsBelow(server.dataDir);
			server.startAgent();
			await untilOnline(rig);
			await untilState(rig, guestId, "crashed");
			await rig.demo.api.guests.start.mutate({ guestId });
			await untilState(rig, guestId, "running");
		},
	},
];

/**
 * Does to a guest what breaks other products' chains, backs it up after each, and compares what was uploaded with what
 * differs between the disks, and what can be restored with what is on them. The guest is paused for the comparison only.
 */
export async function chain(say: (line: string) => void): Promise<{ rows: ChainRow[]; ok: boolean }> {
	const rig = await openBackupRig({ id: "sc", subnet: 82, port: 3082, serverCount: 2 }, say);
	try {
		const guestId = await addTreeGuest(rig, {
			...{ name: "chain", server: "rack1-01", sizeBytes: 512 * MiB },
			...{ treeKib: 4096, treeMs: 500 },
		});
		await untilWritten(rig, guestId, 5);
		const world = { rig, guestId };
		await compare(world, "the first backup");
		const rows: ChainRow[] = [];
		for (const { after, happen } of cases) {
			await happen(world);
			await untilWritten(rig, guestId, 2);
			const row = await compare(world, after);
			say(`after ${after}: ${row.ratio.toFixed(2)} × of what changed, ${row.identical ? "identical" : "DIFFERENT"}`);
			rows.push(row);
		}
		return { rows, ok: rows.every(({ ratio, identical }) => identical && ratio <= 1.2) };
	} finally {
		await rig.demo.close();
	}
}

/** Backs the paused guest up, and holds the point against its disks and against the disks at the last comparison. */
async function compare({ rig, guestId }: World, after: string): Promise<ChainRow> {
	await rig.demo.api.guests.pause.mutate({ guestId });
	await untilState(rig, guestId, "paused");
	const taken = await backUp(rig, guestId);
	let changedBytes = 0;
	let identical = true;
	for (const { id } of await volumesOf(rig, guestId)) {
		const [now, before, restored] = ["now", "before", "restored"].map((part) => join(rig.workFolder, `${id}.${part}`));
		if (!now || !before || !restored) throw new Error("the comparison has no folder");
		await copyVolume(rig, guestId, id, now);
		await restoreRaw(rig, taken.pointId, id, restored);
		identical &&= (await differingBytes(now, restored)) === 0;
		// A disk that was not there before was empty.
		await appendFile(before, "");
		changedBytes += await differingBytes(now, before);
		await rename(now, before);
	}
	await rig.demo.api.guests.resume.mutate({ guestId });
	await untilState(rig, guestId, "running");
	const { uploadedBytes, readBytes, wholeReads } = taken;
	return { after, changedBytes, uploadedBytes, ratio: uploadedBytes / changedBytes, readBytes, wholeReads, identical };
}

async function volumesOf(
	{ demo }: BackupRig,
	guestId: GuestId,
): Promise<{ id: VolumeId; pool: string; sizeBytes: number }[]> {
	return (await demo.api.guests.get.query({ guestId })).spec.volumes;
}

async function untilOnline({ demo }: BackupRig): Promise<void> {
	await until("all servers to be online", 60_000, async () => {
		const { rows } = await demo.api.hosts.list.query({ connection: ["online"] });
		return rows.length === demo.servers.length;
	});
}
