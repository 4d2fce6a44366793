import { createHash } from "node:crypto";
import { lstat, open, readdir } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import type { HypervisorFacts } from "@sterna/hypervisor/hypervisor";
import { HostFacts, Image } from "@sterna/shared/host";
import { printable, ResourceName } from "@sterna/shared/names";
import { MiB } from "@sterna/shared/units";
import type { StoragePool } from "@sterna/shared/volume";
import { z } from "zod";
import { readJsonFile, writeDurably } from "./durable-file.ts";
import { parseMeminfo } from "./metrics/proc.ts";
import { runChild } from "./sensors/child.ts";
import type { SensorRoot } from "./sensors/root.ts";

/** What the agent knows of itself; the rest of the facts is read from the machine. */
export type GivenFacts = Pick<
	HostFacts,
	"hostId" | "name" | "agentVersion" | "bootId" | "peerAddress" | "peerPort" | "networks"
> & {
	pools: readonly PoolFolder[];
	repositories: readonly { name: string; path: string }[];
	imagesDir: string;
	/** What guests may use together, when that is less than the server has. */
	memoryLimitBytes?: number | undefined;
	hypervisor: HypervisorFacts;
};

export type PoolFolder = Pick<StoragePool, "name" | "poolId" | "kind"> & { path: string };

/** Gathers the facts of a host: what it is and what it offers. Asks again whatever can change. */
export class HostFactsReader {
	readonly #root: SensorRoot;
	readonly #images: ImageCatalog;
	readonly #capacities = new Map<string, number>();

	/** `imageCachePath`: a file in which the checksums of images are kept. */
	constructor(root: SensorRoot, imageCachePath: string) {
		this.#root = root;
		this.#images = new ImageCatalog(imageCachePath);
	}

	async read(given: GivenFacts): Promise<HostFacts> {
		const { hypervisor, memoryLimitBytes, pools, repositories, imagesDir, ...own } = given;
		const [machine, storagePools, repositoryFolders, images] = await Promise.all([
			readMachine(this.#root),
			Promise.all(pools.map((pool) => this.#readFolder("pool", pool))),
			Promise.all(repositories.map((repository) => this.#readFolder("repository", repository))),
			this.#images.list(imagesDir),
		]);
		return HostFacts.parse({
			...own,
			...machine,
			memoryBytes: Math.min(machine.memoryBytes, memoryLimitBytes ?? machine.memoryBytes),
			qemuVersion: hypervisor.qemuVersion,
			machineTypes: hypervisor.machineTypes,
			probe: hypervisor.probe,
			simulated: hypervisor.simulated,
			pools: storagePools,
			repositoryFolders,
			images,
		});
	}

	/** A folder that does not answer keeps its size and offers nothing. */
	async #readFolder<Folder extends { name: string; path: string }>(kind: "pool" | "repository", given: Folder) {
		const { path, ...folder } = given;
		const space = await readSpace(path);
		const key = `${kind}/${folder.name}`;
		if (space) this.#capacities.set(key, space.capacityBytes);
		return { ...folder, ...(space ?? { capacityBytes: this.#capacities.get(key) ?? 0, freeBytes: 0 }) };
	}
}

const spaceTimeoutMs = 5000;

/** Size and free space of the filesystem under a folder; null when it does not answer. In a child: a dead share never returns. */
export async function readSpace(path: string): Promise<{ capacityBytes: number; freeBytes: number } | null> {
	const result = await runChild("stat", ["--file-system", "--format=%S %b %a", "--", path], spaceTimeoutMs);
	if (result.status !== "finished" || result.exitCode !== 0) return null;
	const [, block, blocks, available] = /^(\d+) (\d+) (\d+)$/.exec(result.stdout.trim()) ?? [];
	if (block === undefined) return null;
	return { capacityBytes: Number(block) * Number(blocks), freeBytes: Number(block) * Number(available) };
}

/** What the kernel says of the machine; where the root does not say it, Node's own view of the real one. */
export async function readMachine(root: SensorRoot) {
	const [osRelease, kernel, cpuinfo, meminfo] = await Promise.all(
		["/etc/os-release", "/proc/sys/kernel/osrelease", "/proc/cpuinfo", "/proc/meminfo"].map((path) =>
			root.readText(path),
		),
	);
	return {
		operatingSystem: parseOsRelease(osRelease ?? null) ?? "Linux",
		kernel: printable((kernel ?? release()).trim(), 200),
		cpuModel: parseCpuModel(cpuinfo ?? null) ?? printable(cpus()[0]?.model ?? "unknown", 200),
		cpuThreads: /^processor\s*:/m.test(cpuinfo ?? "") ? countThreads(cpuinfo ?? "") : availableParallelism(),
		memoryBytes: parseMeminfo(meminfo ?? null)?.totalBytes ?? totalmem(),
	};
}

/** `PRETTY_NAME` of os-release(5). */
export function parseOsRelease(text: string | null): string | null {
	const value = /^PRETTY_NAME=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))\s*$/m.exec(text ?? "");
	const name = value?.[1]?.replace(/\\(.)/g, "$1") ?? value?.[2] ?? value?.[3];
	return name ? printable(name, 200) : null;
}

export function parseCpuModel(text: string | null): string | null {
	const model = /^model name\s*:[ \t]*(\S.*)$/m.exec(text ?? "")?.[1];
	return model ? printable(model.trim(), 200) : null;
}

function countThreads(cpuinfo: string): number {
	return cpuinfo.match(/^processor\s*:/gm)?.length ?? 1;
}

const CachedImage = z.strictObject({ path: z.string(), mtimeMs: z.number(), image: Image });
const CacheFile = z.array(CachedImage).max(10_000);

/** The images of a folder with their checksums; a file is read again only when its size or time changed. */
export class ImageCatalog {
	readonly #cachePath: string;
	#cached: Map<string, z.infer<typeof CachedImage>> | null = null;
	#queue: Promise<unknown> = Promise.resolve();

	constructor(cachePath: string) {
		this.#cachePath = cachePath;
	}

	/** Regular files with a proper name only: links could lead out of the folder. No folder: no images. */
	list(folder: string): Promise<Image[]> {
		const run = this.#queue.then(() => this.#list(folder));
		this.#queue = run.catch(() => {});
		return run;
	}

	async #list(folder: string): Promise<Image[]> {
		this.#cached ??= await readCache(this.#cachePath);
		const names = await readdir(folder).catch(() => []);
		const images: Image[] = [];
		let isNew = false;
		for (const name of names
			.sort()
			.filter((one) => ResourceName.safeParse(one).success)
			.slice(0, 1000)) {
			const path = join(folder, name);
			const stat = await lstat(path).catch(() => null);
			if (!stat?.isFile()) continue;
			const known = this.#cached.get(path);
			if (known && known.mtimeMs === stat.mtimeMs && known.image.sizeBytes === stat.size) {
				images.push(known.image);
				continue;
			}
			const sha256 = await hashFile(path);
			const after = await lstat(path).catch(() => null);
			// Still being written, or gone: it is listed once it stands still.
			if (!sha256 || after?.mtimeMs !== stat.mtimeMs || after.size !== stat.size) continue;
			const image = { name, sizeBytes: stat.size, sha256 };
			this.#cached.set(path, { path, mtimeMs: stat.mtimeMs, image });
			images.push(image);
			isNew = true;
		}
		// Best effort: without the file the next life of the agent reads the images again.
		if (isNew) await writeDurably(this.#cachePath, JSON.stringify([...this.#cached.values()])).catch(() => {});
		return images;
	}
}

/** A cache that cannot be read is built anew. */
async function readCache(path: string): Promise<Map<string, z.infer<typeof CachedImage>>> {
	const entries = await readJsonFile(path, CacheFile).catch(() => null);
	return new Map((entries ?? []).map((entry) => [entry.path, entry]));
}

/** Through one piece of memory: images have many GiB, and a stream's new buffer for each 64 KiB keeps the collector busy. */
async function hashFile(path: string): Promise<string | null> {
	const hash = createHash("sha256");
	const piece = Buffer.allocUnsafeSlow(MiB);
	try {
		const file = await open(path);
		try {
			for (let read = await file.read(piece); read.bytesRead > 0; read = await file.read(piece)) {
				hash.update(piece.subarray(0, read.bytesRead));
			}
			return hash.digest("hex");
		} finally {
			await file.close();
		}
	} catch {
		return null;
	}
}
