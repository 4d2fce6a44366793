import { access, chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { Accelerator } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";
import type { VolumeSeat } from "@sterna/shared/volume";
import type { StartRequest, VolumeSource } from "../hypervisor.ts";
import { QmpClient } from "../qmp/client.ts";
import { qemuArgv } from "./argv.ts";
import { checkReachable, confine, confinedCommand, giveTo } from "./confinement.ts";
import { seatIn } from "./disk-devices.ts";
import { refuseIncomplete } from "./fill-mark.ts";
import { giveSocketsOf } from "./fill-sources.ts";
import { refuseWhileExported } from "./offline.ts";
import { type GuestPaths, guestPaths } from "./paths.ts";
import { endInOrder, findBySocket, isAlive, type Spawned, startDetached } from "./process.ts";
import { type GuestRecord, readRecord, writeRecord } from "./record.ts";
import { createTap, removeTap, tapName } from "./tap.ts";
import type { Undo } from "./undo.ts";
import { settleFiles } from "./volume-copy.ts";
import { supportsDirectIo } from "./volumes.ts";

/** On a busy disk opening the volumes takes seconds, and until that is done the monitor greets nobody. */
const monitorDeadlineMs = 20_000;
/** How long one that does not come up may take to close its volumes. */
const endMs = 2000;

export interface Launch {
	request: StartRequest;
	system: string;
	runFolder: string;
	machine: string;
	accelerator: Exclude<Accelerator, "simulated">;
	incoming: boolean;
	seats: readonly VolumeSeat[];
	/** What volumes that are not completely here are read from; the others must be complete. */
	sources: readonly VolumeSource[];
}

export interface Launched {
	paths: GuestPaths;
	record: GuestRecord;
	process: Spawned;
	monitor: QmpClient;
}

/**
 * Starts the process of a guest and connects to its monitor. What it acquires is registered with `undo`.
 * @throws {SternaError} `conflict` when the guest has a process already or a volume is in use elsewhere; `forbidden`
 * when the guest's user cannot reach a file; `unavailable` with QEMU's own words when it does not come up.
 */
export async function launch(what: Launch, undo: Undo): Promise<Launched> {
	const { request, machine, accelerator, incoming, runFolder, seats, sources } = what;
	const { spec } = request;
	const paths = guestPaths(runFolder, spec.id);
	const confinement = await confine(spec.id, accelerator === "kvm");
	const { uid } = confinement;
	const bridges = request.nics.map((nic) => (nic.kind === "bridge" ? nic.bridge : null));
	const taps = bridges.map((bridge, index) => (bridge === null ? null : tapName(runFolder, spec.id, index)));
	const directIo = await Promise.all(request.volumes.map((volume) => supportsDirectIo(volume.path)));
	const argv = qemuArgv({ request, paths, accelerator, machine, taps, directIo, incoming, seats, sources });

	await refuseSecondProcess(spec.id, spec.name, paths);
	await refuseWhileExported(paths, spec.name);
	const earlier = await readRecord(paths.record);
	if (earlier) await settleFiles(earlier);
	for (const path of [request.kernelPath, request.initrdPath]) if (path) await checkReachable(uid, path);
	await giveVolumes(request, uid);
	for (const volume of request.volumes) {
		if (!sources.some(({ volumeId }) => volumeId === volume.volumeId)) await refuseIncomplete(volume);
	}
	await giveSocketsOf(sources, uid);
	await prepareFolder(paths, uid);
	const record: GuestRecord = {
		spec,
		machine,
		accelerator,
		uid,
		volumes: request.volumes.map(({ volumeId, path }) => ({ path, ...seatIn(seats, volumeId) })),
		taps,
		moving: null,
		sources: sources.map(({ volumeId, socket, exportName }) => ({ volumeId, socket, exportName })),
		incoming,
		ending: null,
	};
	// Before the process and its taps: whoever finds them after a crash of the agent finds what they are.
	await writeRecord(paths.record, record);
	undo.add(() => writeRecord(paths.record, { ...record, ending: "it did not start" }));
	for (const [index, name] of taps.entries()) {
		const bridge = bridges[index];
		if (!name || !bridge) continue;
		await createTap({ name, bridge, uid });
		undo.add(() => removeTap(name));
	}
	const command = confinedCommand([what.system, ...argv], confinement);
	const process = await startDetached(command, paths.qemuLog, spec.id);
	undo.add(() => endInOrder(process, endMs));
	const monitor = await connectMonitor(paths, process, spec.name);
	undo.add(() => monitor.close());
	return { paths, record, process, monitor };
}

async function refuseSecondProcess(guestId: GuestId, name: string, paths: GuestPaths): Promise<void> {
	const found = await findBySocket([paths.qmp]);
	if (found.size > 0)
		throw new SternaError("conflict", `guest ${name} (${guestId}) has a process on this host already`);
}

/** @throws {SternaError} `not_found` for a volume that is not there, `forbidden` for one that cannot change hands. */
export async function giveVolumes(request: Pick<StartRequest, "spec" | "volumes">, uid: number | null): Promise<void> {
	for (const { volumeId, path } of request.volumes) {
		await checkReachable(uid, path);
		const volume = `the volume ${volumeId} of guest ${request.spec.name}`;
		await access(path).catch((cause: unknown) => {
			throw new SternaError("not_found", `${volume} is not there`, { cause });
		});
		await giveTo(uid, path).catch((cause: unknown) => {
			throw new SternaError("forbidden", `${volume} cannot be given to the guest's own user ${uid}`, {
				cure: "export shared storage with no_root_squash, or run the agent without root",
				cause,
			});
		});
	}
}

/** Fresh sockets, a fresh log of QEMU, and the serial log as it is: it goes on. */
async function prepareFolder(paths: GuestPaths, uid: number | null): Promise<void> {
	await mkdir(paths.folder, { recursive: true, mode: 0o711 });
	await chmod(paths.folder, 0o711);
	await rm(paths.socketFolder, { recursive: true, force: true });
	await mkdir(paths.socketFolder, { mode: 0o700 });
	await giveTo(uid, paths.socketFolder);
	await writeFile(paths.qemuLog, "", { mode: 0o600 });
	await writeFile(paths.serialLog, "", { mode: 0o600, flag: "a" });
	await giveTo(uid, paths.serialLog);
	await checkReachable(uid, paths.qmp);
}

async function connectMonitor(paths: GuestPaths, process: Spawned, name: string): Promise<QmpClient> {
	const deadline = Date.now() + monitorDeadlineMs;
	for (;;) {
		try {
			return await QmpClient.connect(paths.qmp, { owner: `guest ${name}`, greetingTimeoutMs: monitorDeadlineMs });
		} catch (error) {
			if (!(await isAlive(process))) throw await earlyEnd(paths, name);
			// The socket is not there yet; anything else than that will not get better.
			if (asSternaError(error).code !== "unavailable") throw error;
			if (Date.now() > deadline) {
				throw new SternaError(
					"timeout",
					`QEMU of guest ${name} did not open its monitor within ${monitorDeadlineMs} ms`,
				);
			}
			await delay(10);
		}
	}
}

/** What QEMU said before it ended. */
export async function lastWords(paths: GuestPaths): Promise<string> {
	const text = await readFile(paths.qemuLog, "utf8").catch(() => "");
	const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.includes("warning:"));
	return printable((lines.at(-1) ?? "").replace(/^.*?qemu-system-\w+: /, ""), 300);
}

async function earlyEnd(paths: GuestPaths, name: string): Promise<SternaError> {
	const words = await lastWords(paths);
	if (/another process using the image|"write" lock/.test(words)) {
		return new SternaError("conflict", `a volume of guest ${name} is in use by another process: ${words}`);
	}
	return new SternaError("unavailable", `QEMU of guest ${name} did not start: ${words || "it said nothing"}`);
}
