import { createHash } from "node:crypto";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { withFileLock } from "../../scripts/system/file-lock.ts";
import { type PrivateApt, withPrivateApt } from "../../scripts/system/private-apt.ts";
import { run, runBytes } from "../../scripts/system/run.ts";
import { type CpioEntry, packCpio } from "./cpio.ts";
import { normaliseModuleName, orderModules, readModuleDependencies } from "./kernel-modules.ts";

/** What QEMU's -kernel and -initrd take; absolute paths. */
export type GuestImage = { kernel: string; initrd: string };

/** The distribution's packages do not have what the guest is made of; the message says what is missing. */
export class GuestBuildError extends Error {
	override name = "GuestBuildError";
}

/** Everything a virtual machine's guest can meet here; their dependencies follow by themselves. */
const wantedModules = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "virtio_rng", "button", "evdev"];
const kernelPackage = "linux-image-cloud-amd64";
const rootfs = join(import.meta.dirname, "rootfs");

/**
 * Builds the demo guest out of the distribution's kernel, busybox and bash (both static) and the scripts in rootfs/.
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
	const debs = await withPrivateApt({ backports: false }, async (apt) => {
		const paths = await apt.download([await resolveKernel(apt), "busybox-static", "bash-static"]);
		for (const path of paths) await run("dpkg", ["-x", path, unpacked]);
		return paths.length;
	});
	if (debs !== 3) throw new GuestBuildError(`expected a kernel, busybox and bash from apt, got ${debs} packages`);
	const busybox = findFile(unpacked, /^busybox$/);
	const bash = findFile(unpacked, /^bash-static$/);
	const modules = await loadModules(unpacked, busybox);
	const applets = (await run(busybox, ["--list"])).split("\n").filter((name) => name !== "" && name !== "busybox");
	const entries = layOut({ busybox: readFileSync(busybox), bash: readFileSync(bash), applets, modules });
	writeFileSync(join(work, "initrd"), gzipSync(packCpio(entries), { level: 9 }));
	renameSync(findFile(unpacked, /^vmlinuz-/), image.kernel);
	renameSync(join(work, "initrd"), image.initrd);
	// A guest's QEMU reads them as a user of its own.
	for (const path of [image.kernel, image.initrd]) chmodSync(path, 0o644);
}

/** The package without a version only depends on the one that has the kernel. */
async function resolveKernel(apt: PrivateApt): Promise<string> {
	const name = (await apt.dependencies(kernelPackage)).find((dependency) => /^linux-image-\d/.test(dependency));
	if (!name)
		throw new GuestBuildError(
			`${kernelPackage} names no kernel package: this distribution packages its kernels in another way`,
		);
	return name;
}

type KernelModule = { name: string; data: Uint8Array };

/** The wanted modules and their dependencies, uncompressed and in the order of loading. */
async function loadModules(unpacked: string, busybox: string): Promise<KernelModule[]> {
	const paths = new Map(
		listFiles(unpacked).flatMap((path) => (/\.ko(\.xz|\.gz)?$/.test(path) ? [[moduleName(path), path] as const] : [])),
	);
	const builtIn = new Set(
		readFileSync(findFile(unpacked, /^modules\.builtin$/), "utf8")
			.split("\n")
			.map(moduleName),
	);
	const data = new Map<string, Uint8Array>();
	for (const queue = wantedModules.map(normaliseModuleName); queue.length > 0; ) {
		const name = queue.shift() ?? "";
		const path = paths.get(name);
		if (data.has(name) || (!path && builtIn.has(name))) continue;
		if (!path) throw new GuestBuildError(`the kernel package has no module ${name}`);
		const file = await readModule(path, busybox);
		data.set(name, file);
		queue.push(...readModuleDependencies(file).map(normaliseModuleName));
	}
	const order = orderModules(wantedModules, (name) => {
		const file = data.get(name);
		return file && readModuleDependencies(file);
	});
	return order.map((name) => ({ name, data: data.get(name) ?? new Uint8Array() }));
}

async function readModule(path: string, busybox: string): Promise<Uint8Array> {
	if (path.endsWith(".xz")) return runBytes(busybox, ["unxz", "-c", path]);
	if (path.endsWith(".gz")) return runBytes(busybox, ["gunzip", "-c", path]);
	return readFileSync(path);
}

function layOut(from: {
	busybox: Uint8Array;
	bash: Uint8Array;
	applets: string[];
	modules: KernelModule[];
}): CpioEntry[] {
	const folders = ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root", "lib", "lib/modules"];
	const order = from.modules.map((module) => `${module.name}.ko\n`).join("");
	return [
		...folders.map((path): CpioEntry => ({ kind: "folder", path })),
		// The first process gets its console from here, before /dev is mounted.
		{ kind: "characterDevice", path: "dev/console", major: 5, minor: 1 },
		{ kind: "file", path: "bin/busybox", data: from.busybox, isExecutable: true },
		{ kind: "file", path: "bin/bash", data: from.bash, isExecutable: true },
		...from.applets.map((name): CpioEntry => ({ kind: "link", path: `bin/${name}`, target: "busybox" })),
		...from.modules.map(
			(module): CpioEntry => ({
				kind: "file",
				path: `lib/modules/${module.name}.ko`,
				data: module.data,
				isExecutable: false,
			}),
		),
		{ kind: "file", path: "lib/modules/order", data: Buffer.from(order), isExecutable: false },
		...rootfsEntries(folders),
	];
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
	const own = ["build.ts", "cpio.ts", "kernel-modules.ts"].map((name) => join(import.meta.dirname, name));
	const hash = createHash("sha256");
	for (const path of [...own, ...listFiles(rootfs)])
		hash.update(`${relative(import.meta.dirname, path)}\0`).update(readFileSync(path));
	return hash.digest("hex");
}

function listFiles(folder: string): string[] {
	return readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
}

function findFile(folder: string, name: RegExp): string {
	const path = listFiles(folder).find((candidate) => name.test(basename(candidate)));
	if (!path) throw new GuestBuildError(`the packages of the guest have no file ${name.source}`);
	return path;
}

function moduleName(path: string): string {
	return normaliseModuleName(basename(path).replace(/\.ko(\.xz|\.gz)?$/, ""));
}

if (import.meta.main)
	console.log(
		JSON.stringify(
			await buildGuestImage(process.argv[2] ?? resolve(import.meta.dirname, "../../.sterna/guest")),
			null,
			2,
		),
	);
