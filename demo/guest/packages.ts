import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { type PrivateApt, withPrivateApt } from "../../scripts/system/private-apt.ts";
import { run, runBytes } from "../../scripts/system/run.ts";
import { normaliseModuleName, orderModules, readModuleDependencies } from "./kernel-modules.ts";
import { readDynamicNeeds } from "./libraries.ts";

/** The distribution's packages do not have what the guest is made of; the message says what is missing. */
export class GuestBuildError extends Error {
	override name = "GuestBuildError";
}

const kernelPackage = "linux-image-cloud-amd64";

/** Fetches the kernel and `names` with all they depend on, and unpacks them into `folder`; nothing is installed. */
export async function unpackPackages(names: string[], folder: string): Promise<void> {
	await withPrivateApt({ backports: false }, async (apt) => {
		const debs = [
			...(await apt.download([await resolveKernel(apt)])),
			...(await apt.download(await apt.withDependencies(names))),
		];
		for (const path of debs) await run("dpkg", ["-x", path, folder]);
	});
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

export type KernelModule = { name: string; data: Uint8Array };

/** Finds modules with their dependencies in unpacked packages, uncompressed and in the order of loading. */
export class KernelModules {
	readonly #paths: Map<string, string>;
	readonly #builtIn: Set<string>;
	readonly #busybox: string;
	readonly #data = new Map<string, Uint8Array>();

	constructor(unpacked: string, busybox: string) {
		this.#busybox = busybox;
		const paths = listFiles(unpacked).filter((path) => /\.ko(\.xz|\.gz)?$/.test(path));
		this.#paths = new Map(paths.map((path) => [moduleName(path), path]));
		const builtIn = readFileSync(findFile(unpacked, /^modules\.builtin$/), "utf8").split("\n");
		this.#builtIn = new Set(builtIn.map(moduleName));
	}

	/** Those of `wanted` that are no part of the kernel itself. Throws GuestBuildError naming one that is nowhere. */
	async load(wanted: string[]): Promise<KernelModule[]> {
		for (const queue = wanted.map(normaliseModuleName); queue.length > 0; ) {
			const name = queue.shift() ?? "";
			const path = this.#paths.get(name);
			if (this.#data.has(name) || (!path && this.#builtIn.has(name))) continue;
			if (!path) throw new GuestBuildError(`the kernel package has no module ${name}`);
			const file = await readModule(path, this.#busybox);
			this.#data.set(name, file);
			queue.push(...readModuleDependencies(file).map(normaliseModuleName));
		}
		const order = orderModules(wanted, (name) => {
			const file = this.#data.get(name);
			return file && readModuleDependencies(file);
		});
		return order.map((name) => ({ name, data: this.#data.get(name) ?? new Uint8Array() }));
	}

	has(name: string): boolean {
		return this.#paths.has(normaliseModuleName(name));
	}
}

async function readModule(path: string, busybox: string): Promise<Uint8Array> {
	if (path.endsWith(".xz")) return runBytes(busybox, ["unxz", "-c", path]);
	if (path.endsWith(".gz")) return runBytes(busybox, ["gunzip", "-c", path]);
	return readFileSync(path);
}

/** Every library and loader that the programs need, by the path where the guest looks for it (without a leading slash). */
export function collectLibraries(unpacked: string, programs: Uint8Array[]): Map<string, Uint8Array> {
	const files = new Map(listLinksAndFiles(unpacked).map((path) => [basename(path), path]));
	const found = new Map<string, Uint8Array>();
	for (const queue = [...programs]; queue.length > 0; ) {
		const { loader, libraries } = readDynamicNeeds(queue.shift() ?? new Uint8Array());
		const wanted = libraries.filter((name) => !name.startsWith("ld-")).map((name) => `lib/${name}`);
		for (const path of [...(loader ? [loader.slice(1)] : []), ...wanted]) {
			if (found.has(path)) continue;
			const file = files.get(basename(path));
			if (!file) throw new GuestBuildError(`the packages of the guest have no library ${basename(path)}`);
			const data = readFileSync(realpathSync(file));
			found.set(path, data);
			queue.push(data);
		}
	}
	return found;
}

export function listFiles(folder: string): string[] {
	return entries(folder, (entry) => entry.isFile());
}

function listLinksAndFiles(folder: string): string[] {
	return entries(folder, (entry) => entry.isFile() || entry.isSymbolicLink());
}

function entries(folder: string, accept: (entry: { isFile(): boolean; isSymbolicLink(): boolean }) => boolean) {
	return readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter(accept)
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
}

/** The file of unpacked packages whose name matches; throws GuestBuildError when there is none. */
export function findFile(folder: string, name: RegExp): string {
	const path = listFiles(folder).find((candidate) => name.test(basename(candidate)));
	if (!path) throw new GuestBuildError(`the packages of the guest have no file ${name.source}`);
	return path;
}

function moduleName(path: string): string {
	return normaliseModuleName(basename(path).replace(/\.ko(\.xz|\.gz)?$/, ""));
}
