import { type Mount, mountOf, parseMountinfo } from "./mounts.ts";
import type { SensorRoot } from "./root.ts";

/**
 * Names of the block devices (disks, partitions, mappings) that carry a pool or the root filesystem. Null when that
 * cannot be told; then every disk counts as one, because unknown is not harmless.
 */
export type Relevance = ReadonlySet<string> | null;

export function carries(relevance: Relevance, device: string): boolean {
	return relevance === null || relevance.has(device);
}

export interface BlockDevice {
	name: string;
	/** `8:1` */
	device: string;
	/** What it is made of: the disk of a partition, the members of a mapping. */
	below: string[];
}

/** Filesystems that are on no disk of this server. */
const diskless = new Set(["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.glusterfs", "tmpfs", "ramfs", "9p", "virtiofs"]);

/** Which devices carry these absolute paths. */
export async function readRelevance(root: SensorRoot, paths: readonly string[]): Promise<Relevance> {
	const [mountinfo, devices] = await Promise.all([root.readText("/proc/self/mountinfo"), readBlockDevices(root)]);
	return mountinfo === null || devices === null ? null : devicesBehind(parseMountinfo(mountinfo), devices, paths);
}

export async function readBlockDevices(root: SensorRoot): Promise<BlockDevice[] | null> {
	const names = await root.list("/sys/block");
	if (names === null) return null;
	const found = await Promise.all(
		names.filter((name) => !/^(loop|ram|zram)\d/.test(name)).map((name) => read(root, name)),
	);
	return found.flat();
}

async function read(root: SensorRoot, name: string): Promise<BlockDevice[]> {
	const path = `/sys/block/${name}`;
	const [own, entries, slaves] = await Promise.all([
		root.readText(`${path}/dev`),
		root.list(path),
		root.list(`${path}/slaves`),
	]);
	const partitions = await Promise.all(
		(entries ?? [])
			.filter((entry) => entry.startsWith(name))
			.map(async (entry) => ({
				name: entry,
				device: ((await root.readText(`${path}/${entry}/dev`)) ?? "").trim(),
				below: [name],
			})),
	);
	return [{ name, device: (own ?? "").trim(), below: slaves ?? [] }, ...partitions];
}

/** Pure part of `readRelevance`. */
export function devicesBehind(
	mounts: readonly Mount[],
	devices: readonly BlockDevice[],
	paths: readonly string[],
): Relevance {
	const byName = new Map(devices.map((device) => [device.name, device]));
	const relevant = new Set<string>();
	for (const path of paths) {
		const mount = mountOf(mounts, path);
		if (!mount) return null;
		if (diskless.has(mount.type)) continue;
		// btrfs and zfs may lie on several devices and have a number of their own.
		const start = devices.find(({ device }) => device === mount.device);
		if (!start) return null;
		const queue = [start.name];
		for (const name of queue) {
			if (relevant.has(name)) continue;
			relevant.add(name);
			queue.push(...(byName.get(name)?.below ?? []));
		}
	}
	return relevant;
}
