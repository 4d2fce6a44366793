import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { connectLocally } from "@sterna/agent/local";
import { GuestId, PointId, type RepositoryId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { type Demo, startDemo } from "../demo/demo.ts";
import { guestCommandLine } from "../demo/guest/command-line.ts";
import { demoFolder, prepare } from "../demo/prepare.ts";
import type { DemoServer } from "../demo/servers.ts";
import { until } from "../demo/until.ts";
import { run } from "../scripts/system/run.ts";

/** The grain in which changes are counted: what a bitmap of QEMU tells apart. */
const blockBytes = 64 * 1024;

/** Servers with a repository, and the folder in which comparisons are made. */
export interface BackupRig {
	demo: Demo;
	repositoryId: RepositoryId;
	repositoryFolder: string;
	recoveryKey: string;
	/** Where volumes are, on any of the servers. */
	poolFolders: string[];
	workFolder: string;
	qemuImg: string;
}

/** A rig of its own with one repository. End it with `rig.demo.close()`. */
export async function openBackupRig(
	options: { id: string; subnet: number; port: number; serverCount: number },
	say: (line: string) => void,
): Promise<BackupRig> {
	const folder = demoFolder(`bench-${options.id}`);
	const prepared = await prepare(say);
	const { id, subnet, serverCount } = options;
	const demo = await startDemo({ id, subnet, serverCount, consolePort: options.port, folder, ...prepared, say });
	try {
		const { api } = demo;
		const place = { kind: "directory", name: "backups" } as const;
		const { id: repositoryId, recoveryKey } = await api.repositories.create.mutate({ name: "proof", place });
		await api.repositories.confirmKey.mutate({ id: repositoryId, key: recoveryKey });
		const workFolder = join(folder, "work");
		await mkdir(workFolder);
		const repositoryFolder = join(folder, "backups");
		const poolFolders = [...demo.servers.map(({ dataDir }) => join(dataDir, "pools", "local")), join(folder, "shared")];
		return { demo, repositoryId, repositoryFolder, recoveryKey, poolFolders, workFolder, qemuImg: prepared.qemu.img };
	} catch (error) {
		await demo.close();
		throw error;
	}
}

/** A guest that writes a checked file tree all the time, and how often it does. */
export async function addTreeGuest(
	{ demo }: BackupRig,
	wish: { name: string; server: string; sizeBytes: number; treeKib: number; treeMs: number },
): Promise<GuestId> {
	const { rows } = await demo.api.hosts.list.query({});
	const host = rows.find(({ name }) => name === wish.server);
	const { name, treeKib, treeMs } = wish;
	const { guestId } = await demo.api.guests.create.mutate({
		name,
		vcpus: 1,
		memoryBytes: 192 * MiB,
		boot: {
			from: "kernel",
			kernel: "sterna-guest.vmlinuz",
			initrd: "sterna-guest.initrd",
			commandLine: guestCommandLine({ name, load: "tree", treeKib, treeMs }),
		},
		volumes: [{ pool: "local", sizeBytes: wish.sizeBytes }],
		networks: [],
		...(host ? { hostId: host.id } : {}),
		start: true,
	});
	return GuestId.parse(guestId);
}

/** What a guest has said of its tree on the serial lines of all servers, oldest first. */
export interface TreeWords {
	/** Highest generation that is safely on the disk. */
	written: number;
	/** What the checks after each boot found. */
	checks: { generation: number; files: number; errors: number }[];
}

export async function treeWords({ demo }: BackupRig, guestId: string): Promise<TreeWords> {
	const words: TreeWords = { written: 0, checks: [] };
	for (const { dataDir } of demo.servers) {
		const text = await readFile(join(dataDir, "run", guestId, "serial.log"), "utf8").catch(() => "");
		for (const [, generation] of text.matchAll(/tree: wrote generation=(\d+)/g)) {
			words.written = Math.max(words.written, Number(generation));
		}
		for (const [, generation, files, errors] of text.matchAll(/tree: generation=(\d+) files=(\d+) errors=(\d+)/g)) {
			words.checks.push({ generation: Number(generation), files: Number(files), errors: Number(errors) });
		}
	}
	return words;
}

/** Waits until the guest has written `more` further generations. */
export async function untilWritten(rig: BackupRig, guestId: string, more: number): Promise<void> {
	const { written } = await treeWords(rig, guestId);
	const wanted = written + more;
	await until(
		`generation ${wanted} of the tree`,
		180_000,
		async () => (await treeWords(rig, guestId)).written >= wanted,
	);
}

export interface BackupTaken {
	pointId: PointId;
	/** What came into the repository's folder, all of it: blocks, index, manifest. */
	uploadedBytes: number;
	readBytes: number;
	wholeReads: string[];
}

/** Backs the guest up as a person would ask for it. @throws when the run does not complete. */
export async function backUp(rig: BackupRig, guestId: GuestId): Promise<BackupTaken> {
	const { api } = rig.demo;
	const before = await filesBelow(rig.repositoryFolder);
	const { pointId } = await api.runs.start.mutate({ guestId, repositoryId: rig.repositoryId });
	let latest = await api.runs.get.query({ pointId: PointId.parse(pointId) });
	await until(`the end of the run of point ${pointId}`, 600_000, async () => {
		latest = await api.runs.get.query({ pointId: PointId.parse(pointId) });
		return ["completed", "failed", "cancelled"].includes(latest.state);
	});
	if (latest.state !== "completed") throw new Error(`the backup ended ${latest.state}: ${latest.errorMessage}`);
	const after = await filesBelow(rig.repositoryFolder);
	const uploadedBytes = [...after].reduce((sum, [path, size]) => sum + (before.has(path) ? 0 : size), 0);
	return { pointId: PointId.parse(pointId), uploadedBytes, readBytes: latest.readBytes, wholeReads: latest.wholeReads };
}

/** The content of a guest's volume now, raw and sparse. The guest must be paused or stopped: QEMU has flushed then. */
export async function copyVolume(rig: BackupRig, guestId: GuestId, volumeId: VolumeId, to: string): Promise<void> {
	const source = await volumePath(rig, volumeId);
	await rm(to, { force: true });
	await run(rig.qemuImg, ["convert", "-q", "-U", "-f", "qcow2", "-O", "raw", source, to]);
	if (!(await stat(to)).size) throw new Error(`the volume of guest ${guestId} could not be copied`);
}

/** Brings a volume of a point back with nothing but the repository and its key. */
export async function restoreRaw(rig: BackupRig, pointId: PointId, volumeId: VolumeId, to: string): Promise<void> {
	const tool = new URL("../apps/restore/dist/sterna-restore.js", import.meta.url).pathname;
	const folder = `${to}.folder`;
	await mkdir(folder);
	try {
		const place = ["--place", rig.repositoryFolder, "--point", pointId, "--volume", volumeId, "--to", folder];
		await run(process.execPath, [tool, "restore", ...place], {
			env: { ...process.env, STERNA_REPOSITORY_KEY: rig.recoveryKey },
		});
		const [name] = await readdir(folder);
		if (!name) throw new Error(`nothing was restored of volume ${volumeId}`);
		await rename(join(folder, name), to);
	} finally {
		await rm(folder, { recursive: true });
	}
}

/** Bytes of the 64 KiB blocks in which two raw images differ; what one of them lacks counts as zeros. */
export async function differingBytes(one: string, other: string): Promise<number> {
	const [left, right] = [blocksOf(one), blocksOf(other)];
	const zeros = Buffer.alloc(blockBytes);
	let differing = 0;
	for (;;) {
		const [a, b] = await Promise.all([left.next(), right.next()]);
		if (a.done && b.done) return differing * blockBytes;
		if (!padded(a.value, zeros).equals(padded(b.value, zeros))) differing++;
	}
}

/** The server on which the guest has its process. */
export async function serverOf({ demo }: BackupRig, guestId: string): Promise<DemoServer> {
	const { host } = await demo.api.guests.get.query({ guestId: GuestId.parse(guestId) });
	const server = demo.servers.find(({ name }) => name === host.name);
	if (!server) throw new Error(`no server of the rig has guest ${guestId}`);
	return server;
}

/** Types a line into the guest's shell on its serial line. */
export async function typeInto(rig: BackupRig, guestId: GuestId, line: string): Promise<void> {
	const { dataDir } = await serverOf(rig, guestId);
	const local = await connectLocally(dataDir);
	if (!local) throw new Error("the guest's agent does not run");
	try {
		await local.endpoint.call("guest.serialInput", { guestId, data: Buffer.from(line).toString("base64") });
	} finally {
		local.close();
	}
}

export async function untilState(rig: BackupRig, guestId: GuestId, state: string, timeoutMs = 60_000): Promise<void> {
	await until(`guest ${guestId} to be ${state}`, timeoutMs, async () => {
		return (await rig.demo.api.guests.get.query({ guestId })).state === state;
	});
}

/** Every file below a folder with its size. */
async function filesBelow(folder: string): Promise<Map<string, number>> {
	const sizes = new Map<string, number>();
	for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
		if (!entry.isFile()) continue;
		const path = join(entry.parentPath, entry.name);
		const file = await stat(path).catch(() => null);
		if (file) sizes.set(path, file.size);
	}
	return sizes;
}

async function volumePath({ poolFolders }: BackupRig, volumeId: VolumeId): Promise<string> {
	const name = `${VolumeId.parse(volumeId)}.qcow2`;
	for (const folder of poolFolders) {
		const path = join(folder, name);
		if (await stat(path).catch(() => null)) return path;
	}
	throw new Error(`no server of the rig has volume ${volumeId}`);
}

async function* blocksOf(path: string): AsyncGenerator<Buffer> {
	let rest = Buffer.alloc(0);
	for await (const chunk of createReadStream(path, { highWaterMark: 4 * MiB })) {
		rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
		while (rest.length >= blockBytes) {
			yield rest.subarray(0, blockBytes);
			rest = rest.subarray(blockBytes);
		}
	}
	if (rest.length > 0) yield rest;
}

function padded(block: Buffer | undefined, zeros: Buffer): Buffer {
	if (block === undefined) return zeros;
	return block.length === blockBytes ? block : Buffer.concat([block, zeros]).subarray(0, blockBytes);
}
