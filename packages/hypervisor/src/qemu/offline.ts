import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connectNbd } from "@sterna/nbd/client";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestId, VolumeId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";
import type { VolumeLocation } from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import { diskNode, fileNode } from "./block-nodes.ts";
import { type Confinement, checkReachable, confine, confinedCommand, giveTo } from "./confinement.ts";
import type { QemuOptions } from "./driver.ts";
import { type GuestPaths, guestPaths } from "./paths.ts";
import {
	endInOrder,
	findByArgument,
	isAlive,
	killProcess,
	type ProcessIdentity,
	type Spawned,
	startDetached,
} from "./process.ts";

const daemonName = "qemu-storage-daemon";
const startDeadlineMs = 20_000;
/** Closing writes the bitmaps into the files. */
const closeDeadlineMs = 60_000;

/** A guest without a process, whose files are therefore nobody's. */
export interface StoppedGuest {
	options: QemuOptions;
	guestId: GuestId;
}

/**
 * Opens volumes of a stopped guest in a QEMU storage daemon for as long as `work` takes, so that what is asked and told
 * of them is the same as of a running guest's. Closed in order, also when this driver dies: what `work` changed is in the
 * files when this is fulfilled.
 * @throws {SternaError} `conflict` when somebody has them open, `unavailable` with the daemon's own words.
 */
export async function withStoppedVolumes<Result>(
	guest: StoppedGuest,
	what: { volumes: readonly VolumeLocation[]; readOnly: boolean },
	work: (monitor: QmpClient, nodeOfVolume: (volumeId: VolumeId) => string) => Promise<Result>,
): Promise<Result> {
	const { paths, confinement } = await prepare(guest, what.volumes);
	// Beside other work on the same guest, as a plan may be.
	const folder = join(paths.folder, `o${randomBytes(2).toString("hex")}`);
	await mkdir(folder, { mode: 0o700 });
	try {
		await giveTo(confinement.uid, folder);
		const socket = join(folder, "m");
		const log = join(folder, "log");
		const nodes = volumeNodes(what.volumes, { readOnly: what.readOnly, alone: !what.readOnly });
		const monitorArgs = ["--chardev", `socket,id=m,path=${socket},server=on,wait=off`, "--monitor", "chardev=m"];
		const daemon = await startDaemon(
			guest,
			confinement,
			["setpriv", "--pdeathsig=TERM"],
			[...nodes, ...monitorArgs],
			log,
		);
		try {
			const monitor = await whenUp(daemon, log, () => QmpClient.connect(socket, { owner: "the storage daemon" }));
			const nodeOfVolume = (volumeId: VolumeId) => diskNode(placeOf(what.volumes, volumeId));
			return await work(monitor, nodeOfVolume);
		} finally {
			await close(daemon, guest);
		}
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

/**
 * Also after `work` has failed: who has the volumes open for writing and is killed leaves bitmaps that nobody trusts, and
 * the next backup reads all. By a signal: `quit` is answered when all is closed, which on a busy disk takes seconds.
 */
async function close(daemon: Spawned, { guestId }: StoppedGuest): Promise<void> {
	if (await endInOrder(daemon, closeDeadlineMs)) return;
	throw new SternaError("timeout", `the volumes of guest ${guestId} do not close`);
}

/** Where a snapshot of the guest is served, running or stopped. */
export function snapshotSocket({ socketFolder }: GuestPaths): string {
	return join(socketFolder, "backup");
}

/** The process that serves a stopped guest's volumes, whichever life of the driver started it. */
export function findExporter(paths: GuestPaths): Promise<ProcessIdentity | null> {
	return findByArgument(daemonName, JSON.stringify(snapshotSocket(paths)));
}

/** A guest that runs writes into what is being read as stopped. @throws {SternaError} `conflict` */
export async function refuseWhileExported(paths: GuestPaths, name: string): Promise<void> {
	if ((await findExporter(paths)) === null) return;
	throw new SternaError("conflict", `guest ${name} is being backed up as a stopped guest`, {
		cure: "wait for the end of the backup, or cancel it",
	});
}

/** Serves volumes of a stopped guest read only, until the process is ended. */
export async function startExporter(
	guest: StoppedGuest,
	volumes: readonly (VolumeLocation & { since: string | null })[],
): Promise<ProcessIdentity> {
	const { paths, confinement } = await prepare(guest, volumes);
	const socket = snapshotSocket(paths);
	await mkdir(paths.socketFolder, { recursive: true, mode: 0o700 });
	await giveTo(confinement.uid, paths.socketFolder);
	await rm(socket, { force: true });
	const log = join(paths.folder, "exporter.log");
	await rm(log, { force: true });
	const exports = volumes.flatMap(({ volumeId, since }, index) => {
		const bitmaps = since === null ? {} : { bitmaps: [since] };
		const what = { type: "nbd", id: `snap${index}`, "node-name": diskNode(index), name: volumeId, writable: false };
		return ["--export", JSON.stringify({ ...what, ...bitmaps })];
	});
	const server = ["--nbd-server", JSON.stringify({ addr: { type: "unix", path: socket } })];
	const nodes = volumeNodes(volumes, { readOnly: true, alone: true });
	const daemon = await startDaemon(guest, confinement, [], [...nodes, ...server, ...exports], log);
	try {
		await whenUp(daemon, log, async () => {
			for (const { volumeId } of volumes) {
				await (await connectNbd({ socketPath: socket, exportName: volumeId, contexts: [] })).close();
			}
		});
		return { pid: daemon.pid, startTicks: daemon.startTicks };
	} catch (error) {
		await killProcess(daemon);
		throw error;
	}
}

async function prepare(
	{ options, guestId }: StoppedGuest,
	volumes: readonly VolumeLocation[],
): Promise<{ paths: GuestPaths; confinement: Confinement }> {
	const paths = guestPaths(options.runFolder, guestId);
	const confinement = await confine(guestId, false);
	await mkdir(paths.folder, { recursive: true, mode: 0o711 });
	await chmod(paths.folder, 0o711);
	for (const { volumeId, path } of volumes) {
		await checkReachable(confinement.uid, path);
		await giveTo(confinement.uid, path).catch((cause: unknown) => {
			throw new SternaError("not_found", `the volume ${volumeId} is not there`, { cause });
		});
	}
	return { paths, confinement };
}

/** `alone`: nobody else may have the files open for writing. */
function volumeNodes(volumes: readonly VolumeLocation[], how: { readOnly: boolean; alone: boolean }): string[] {
	const access = { "read-only": how.readOnly, "force-share": !how.alone };
	return volumes.flatMap(({ path }, index) => {
		const node = diskNode(index);
		const file = { driver: "file", "node-name": fileNode(node), filename: path, ...access };
		// A backing file that somebody wrote into the header is not opened.
		const volume = { driver: "qcow2", "node-name": node, file: fileNode(node), backing: null, ...access };
		return ["--blockdev", JSON.stringify(file), "--blockdev", JSON.stringify(volume)];
	});
}

/** `within`: the command that runs it, if any. */
function startDaemon(
	{ options, guestId }: StoppedGuest,
	confinement: Confinement,
	within: readonly string[],
	args: readonly string[],
	log: string,
): Promise<Spawned> {
	const program = join(dirname(options.programs.img), daemonName);
	return startDetached(confinedCommand([...within, program, ...args], confinement), log, guestId);
}

/** What `reach` gives once the daemon answers. */
async function whenUp<Result>(daemon: Spawned, log: string, reach: () => Promise<Result>): Promise<Result> {
	const deadline = Date.now() + startDeadlineMs;
	for (;;) {
		const alive = await isAlive(daemon);
		try {
			return await reach();
		} catch (error) {
			if (!alive) throw await earlyEnd(log);
			if (asSternaError(error).code !== "unavailable") throw error;
			if (Date.now() > deadline) throw new SternaError("timeout", "QEMU's storage daemon does not come up");
			await delay(10);
		}
	}
}

async function earlyEnd(log: string): Promise<SternaError> {
	const text = await readFile(log, "utf8").catch(() => "");
	const words = printable(text.trim().split("\n").at(-1) ?? "", 300);
	const code = /another process using the image|" lock/.test(words) ? "conflict" : "unavailable";
	return new SternaError(code, `the volumes cannot be opened: ${words || "QEMU's storage daemon said nothing"}`);
}

function placeOf(volumes: readonly VolumeLocation[], volumeId: VolumeId): number {
	const index = volumes.findIndex((volume) => volume.volumeId === volumeId);
	if (index === -1) throw new SternaError("not_found", `the volume ${volumeId} is none of those that were opened`);
	return index;
}
