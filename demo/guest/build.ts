import { createCipheriv, createHash } from "node:crypto";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { withFileLock } from "../../scripts/system/file-lock.ts";
import { run } from "../../scripts/system/run.ts";
import { type CpioEntry, packCpio } from "./cpio.ts";
import { collectLibraries, findFile, KernelModules, listFiles, unpackPackages } from "./packages.ts";

/** What QEMU's -kernel and -initrd take; absolute paths. */
export type GuestImage = { kernel: string; initrd: string };

/** Everything a virtual machine's guest can meet here; their dependencies follow by themselves. */
const wantedModules = [
	"virtio_pci",
	"virtio_blk",
	"virtio_net",
	"virtio_console",
	"virtio_balloon",
	"virtio_rng",
	"button",
	"evdev",
];
/** For a guest that keeps a file tree. Newer kernels have the checksum of ext4 built in, and no module of that name. */
const treeModules = ["ext4"];
const treeModulesIfThere = ["crc32c_generic"];
const packages = ["busybox-static", "bash-static", "e2fsprogs", "qemu-guest-agent"];
/** Programs that are not static: their libraries come along. */
const programs = ["mke2fs", "e2fsck", "qemu-ga"];
const noiseBytes = 1024 * 1024;
const rootfs = join(import.meta.dirname, "rootfs");

/**
 * Builds the demo guest out of the distribution's kernel, busybox and bash (both static), Debian's guest agent and ext4
 * tools with their libraries, and the scripts in rootfs/. For backups that mean something boot it with the load `tree`
 * and a channel `org.qemu.guest_agent.0`: it then keeps a checked file tree in an ext4 on its first disk, which its agent
 * freezes (README.md). `await buildGuestImage(".sterna/guest")` is the image that all tests share.
 *
 * Nothing is installed on this machine and root is not needed. An image that is already in `outDir` and fits these
 * sources is left as it is; builds at the same time wait for each other. Throws AptUnavailableError or CommandError
 * when the packages cannot be fetched, GuestBuildError when they lack something.
 */
export async function buildGuestImage(outDir: string, say: (line: string) => void = console.log): Promise<GuestImage> {
	const out = resolve(outDir);
	const image = { kernel: join(out, "sterna-guest.vmlinuz"), initrd: join(out, "sterna-guest.initrd") };
	mkdirSync(out, { recursive: true });
	await withFileLock(join(out, ".lock"), async () => {
		const stamp = join(out, "sterna-guest.stamp");
		const wanted = sourcesDigest();
		const isBuilt =
			[image.kernel, image.initrd, stamp].every((path) => existsSync(path)) && readFileSync(stamp, "utf8") === wanted;
		if (isBuilt) return;
		const startedMs = Date.now();
		const work = mkdtempSync(join(out, ".building-"));
		try {
			await build(work, image);
			writeFileSync(stamp, wanted);
		} finally {
			rmSync(work, { recursive: true, force: true });
		}
		const initrdKib = Math.round(statSync(image.initrd).size / 1024);
		say(
			`guest image ready in ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${image.kernel}, ${basename(image.initrd)} of ${initrdKib} KiB`,
		);
	});
	return image;
}

async function build(work: string, image: GuestImage): Promise<void> {
	const unpacked = join(work, "packages");
	await unpackPackages(packages, unpacked);
	const entries = await layOut(unpacked);
	writeFileSync(join(work, "initrd"), gzipSync(packCpio(entries), { level: 9 }));
	renameSync(findFile(unpacked, /^vmlinuz-/), image.kernel);
	renameSync(join(work, "initrd"), image.initrd);
	// A guest's QEMU reads them as a user of its own.
	for (const path of [image.kernel, image.initrd]) chmodSync(path, 0o644);
}

async function layOut(unpacked: string): Promise<CpioEntry[]> {
	const busybox = findFile(unpacked, /^busybox$/);
	const better = ["", "busybox", ...programs];
	const applets = (await run(busybox, ["--list"])).split("\n").filter((name) => !better.includes(name));
	const modules = new KernelModules(unpacked, busybox);
	const base = await modules.load(wantedModules);
	const known = new Set(base.map((module) => module.name));
	const tree = (await modules.load([...treeModules, ...treeModulesIfThere.filter((name) => modules.has(name))])).filter(
		(module) => !known.has(module.name),
	);
	const own = programs.map((name) => ({ name, data: readFileSync(findFile(unpacked, new RegExp(`^${name}$`))) }));
	const libraries = collectLibraries(
		unpacked,
		own.map((program) => program.data),
	);

	const file = (path: string, data: Uint8Array | string): CpioEntry => ({
		kind: "file",
		path,
		data: Buffer.from(data),
		isExecutable: false,
	});
	const program = (path: string, data: Uint8Array): CpioEntry => ({ kind: "file", path, data, isExecutable: true });
	const order = (list: { name: string }[]) => list.map((module) => `${module.name}.ko\n`).join("");
	const paths = [...libraries.keys()];
	const folders = ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root", "lib", "lib/modules", "lib/sterna"];
	folders.push(...new Set(paths.map((path) => dirname(path)).filter((path) => !folders.includes(path))));
	return [
		...folders.map((path): CpioEntry => ({ kind: "folder", path })),
		// The first process gets its console from here, before /dev is mounted.
		{ kind: "characterDevice", path: "dev/console", major: 5, minor: 1 },
		program("bin/busybox", readFileSync(busybox)),
		program("bin/bash", readFileSync(findFile(unpacked, /^bash-static$/))),
		...own.map(({ name, data }) => program(`sbin/${name}`, data)),
		...paths.map((path) => program(path, libraries.get(path) ?? new Uint8Array())),
		...applets.map((name): CpioEntry => ({ kind: "link", path: `bin/${name}`, target: "busybox" })),
		...[...base, ...tree].map((module) => file(`lib/modules/${module.name}.ko`, module.data)),
		file("lib/modules/order", order(base)),
		file("lib/modules/order-tree", order(tree)),
		file("lib/sterna/noise", noise()),
		...rootfsEntries(folders),
	];
}

/** The same incompressible bytes in every build: what the files of a tree are cut from. */
function noise(): Buffer {
	const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
	return cipher.update(Buffer.alloc(noiseBytes));
}

function rootfsEntries(existingFolders: string[]): CpioEntry[] {
	const files = listFiles(rootfs);
	const folders = new Set(files.flatMap((path) => parents(relative(rootfs, path))));
	return [
		...[...folders]
			.filter((path) => !existingFolders.includes(path))
			.sort()
			.map((path): CpioEntry => ({ kind: "folder", path })),
		...files.map((path): CpioEntry => {
			const data = readFileSync(path);
			return {
				kind: "file",
				path: relative(rootfs, path),
				data,
				isExecutable: data.subarray(0, 2).toString() === "#!",
			};
		}),
	];
}

function parents(path: string): string[] {
	const parent = dirname(path);
	return parent === "." ? [] : [...parents(parent), parent];
}

/** Changes whenever a source of the image does; the distribution's packages are taken as they were. */
function sourcesDigest(): string {
	const own = ["build.ts", "packages.ts", "libraries.ts", "cpio.ts", "kernel-modules.ts"];
	const hash = createHash("sha256");
	for (const path of [...own.map((name) => join(import.meta.dirname, name)), ...listFiles(rootfs)])
		hash.update(`${relative(import.meta.dirname, path)}\0`).update(readFileSync(path));
	return hash.digest("hex");
}

if (import.meta.main)
	console.log(
		JSON.stringify(
			await buildGuestImage(process.argv[2] ?? resolve(import.meta.dirname, "../../.sterna/guest")),
			null,
			2,
		),
	);
