import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readSystemRelease, usesApt } from "./debian-release.ts";
import { withFileLock } from "./file-lock.ts";
import { ensureSystemPackages, findProgram, isRoot, qemuNeeds } from "./packages.ts";
import { type PrivateApt, withPrivateApt } from "./private-apt.ts";
import { compareQemuVersions, formatQemuVersion, isSafeQemu, parseQemuVersion } from "./qemu-version.ts";
import { run } from "./run.ts";

/** A QEMU that live migration can be trusted to. All paths are absolute and usable by unprivileged users. */
export type Qemu = {
	/** qemu-system-x86_64 */
	system: string;
	/** qemu-img */
	img: string;
	/** qemu-nbd */
	nbd: string;
	/** "10.0.2" */
	version: string;
	/** "system": the distribution's own, installed. "beside": unpacked by us, the system's packages are untouched. */
	origin: "system" | "beside";
	/** What finding or installing it took. */
	tookMs: number;
};

/** No usable QEMU and no way to get one; the message says what to do. */
export class QemuUnavailableError extends Error {
	override name = "QemuUnavailableError";
}

/** The distribution's packages that make up QEMU; always taken together, from one suite. */
const qemuPackages = [
	"qemu-system-x86",
	"qemu-system-common",
	"qemu-system-data",
	"qemu-utils",
	"seabios",
	"ipxe-qemu",
];
const programs = ["qemu-system-x86_64", "qemu-img", "qemu-nbd", "qemu-io", "qemu-storage-daemon"];
/** `probeMemory` of all drivers that this checkout starts: one look at the machine does for demo, tests and benchmarks. */
export const probeMemory = resolve(import.meta.dirname, "../../.sterna/probe.json");

const stampName = "sterna-stamp.json";

/**
 * Finds or gets a QEMU of release 9 or newer (older ones corrupt memory in live migration without KVM).
 *
 * The system's own is used where it is new enough. Otherwise the release's backports are unpacked beside it, under
 * /var/lib/sterna/qemu as root (a guest's own user must be able to reach it) or .sterna/qemu without. The second call
 * finds the first one's result; calls at the same time wait for each other. Throws QemuUnavailableError where neither
 * the system nor its mirror has a new enough release, CommandError when apt or dpkg fails.
 */
export async function ensureQemu(say: (line: string) => void = console.log): Promise<Qemu> {
	const startedMs = Date.now();
	const root = installRoot();
	const found = (await findSystemQemu()) ?? (await findBeside(root));
	if (found) return { ...found, tookMs: Date.now() - startedMs };
	makeReachable(root);
	const qemu = await withFileLock(
		join(root, ".lock"),
		async () => (await findBeside(root)) ?? (await install(root, say)),
	);
	const tookMs = Date.now() - startedMs;
	say(`QEMU ${qemu.version} ready in ${(tookMs / 1000).toFixed(1)} s: ${qemu.system}`);
	return { ...qemu, tookMs };
}

type FoundQemu = Omit<Qemu, "tookMs">;

function installRoot(): string {
	return isRoot() ? "/var/lib/sterna/qemu" : resolve(import.meta.dirname, "../../.sterna/qemu");
}

/** Guests run under users of their own, whatever umask this process was started with. */
function makeReachable(root: string): void {
	const firstCreated = mkdirSync(root, { recursive: true });
	if (firstCreated !== undefined && isRoot()) for (const path of new Set([firstCreated, root])) chmodSync(path, 0o755);
}

async function findSystemQemu(): Promise<FoundQemu | undefined> {
	const [system, img, nbd] = ["qemu-system-x86_64", "qemu-img", "qemu-nbd"].map(findProgram);
	if (!system || !img || !nbd) return undefined;
	return probe({ system, img, nbd, origin: "system" });
}

async function findBeside(root: string): Promise<FoundQemu | undefined> {
	const names = existsSync(root) ? readdirSync(root).filter((name) => existsSync(join(root, name, stampName))) : [];
	const found = await Promise.all(names.map((name) => probe(programsIn(join(root, name)))));
	return found.filter((qemu) => qemu !== undefined).sort((a, b) => newestFirst(a.version, b.version))[0];
}

/** Starting it is the only proof that its libraries are all there. */
async function probe(qemu: Omit<FoundQemu, "version">): Promise<FoundQemu | undefined> {
	try {
		const version = parseQemuVersion(await run(qemu.system, ["--version"]));
		await run(qemu.img, ["--version"]);
		return isSafeQemu(version) ? { ...qemu, version: formatQemuVersion(version) } : undefined;
	} catch {
		return undefined;
	}
}

async function install(root: string, say: (line: string) => void): Promise<FoundQemu> {
	const release = readSystemRelease();
	if (!usesApt(release)) {
		throw new QemuUnavailableError(
			`${release.prettyName} has no QEMU 9 or newer: install qemu-system-x86_64, qemu-img and qemu-nbd with its package manager`,
		);
	}
	const isOffered = await withPrivateApt({ backports: false }, async (apt) =>
		isSafeCandidate(await apt.candidateVersion("qemu-system-x86")),
	);
	if (isOffered && isRoot()) {
		await ensureSystemPackages(qemuNeeds, say);
		const installed = await findSystemQemu();
		if (installed) return installed;
	}
	return withPrivateApt({ backports: !isOffered }, async (apt) => {
		const suite = isOffered ? undefined : `${apt.codename}-backports`;
		const version = await apt.candidateVersion("qemu-system-x86", suite);
		if (!version || !isSafeCandidate(version)) {
			throw new QemuUnavailableError(
				`${release.prettyName} offers QEMU ${version ?? "not at all"} at best; 9.0 or newer is needed: upgrade to Debian 13 or install it by hand`,
			);
		}
		say(`unpacking QEMU ${version} from ${suite ?? apt.codename}: live migration without KVM needs 9.0 or newer`);
		return unpackBeside({ root, apt, suite, packageVersion: version });
	});
}

/** Unpacks into a folder of its own and renames it when complete: what carries the final name is whole. */
async function unpackBeside(what: {
	root: string;
	apt: PrivateApt;
	suite: string | undefined;
	packageVersion: string;
}): Promise<FoundQemu> {
	const version = parseQemuVersion(what.packageVersion);
	if (!version)
		throw new QemuUnavailableError(`cannot read a release out of the package version ${what.packageVersion}`);
	const dir = join(what.root, formatQemuVersion(version));
	// We hold the lock: whatever is left over belongs to a run that was killed.
	for (const name of readdirSync(what.root).filter((name) => name.startsWith(".unpacking-"))) {
		rmSync(join(what.root, name), { recursive: true, force: true });
	}
	const partial = mkdtempSync(join(what.root, ".unpacking-"));
	try {
		const libraries = await what.apt.downloadMissingDependencies(qemuPackages, what.suite);
		const own = await what.apt.download(qemuPackages, what.suite);
		for (const deb of [...libraries, ...own]) await run("dpkg", ["-x", deb, partial]);
		writeWrappers(partial, dir);
		writeFileSync(
			join(partial, stampName),
			`${JSON.stringify({ version: what.packageVersion, suite: what.suite ?? what.apt.codename })}\n`,
		);
		await run("chmod", ["-R", "a+rX", partial]);
		rmSync(dir, { recursive: true, force: true });
		renameSync(partial, dir);
	} finally {
		rmSync(partial, { recursive: true, force: true });
	}
	const qemu = programsIn(dir);
	try {
		await powerOnOnce(qemu.system);
		await run(qemu.img, ["--version"]);
	} catch (error) {
		rmSync(dir, { recursive: true, force: true });
		throw new QemuUnavailableError(`QEMU ${what.packageVersion} was unpacked but does not start: ${String(error)}`, {
			cause: error,
		});
	}
	return { ...qemu, version: formatQemuVersion(version) };
}

/** A machine that comes up proves that libraries, accelerator module, firmware and ROMs are all found. */
async function powerOnOnce(system: string): Promise<void> {
	const machine = [
		"-machine",
		"q35",
		"-accel",
		"tcg",
		"-m",
		"32",
		"-nodefaults",
		"-display",
		"none",
		"-S",
		"-device",
		"virtio-net-pci",
	];
	await run(system, [...machine, "-qmp", "stdio"], { input: '{"execute":"qmp_capabilities"}{"execute":"quit"}' });
}

/** Debian's QEMU looks for libraries, modules and firmware where the system would have them: it is pointed at ours. */
function writeWrappers(partial: string, finalDir: string): void {
	const libraryRoot = join(partial, "usr", "lib");
	const triplets = readdirSync(libraryRoot).filter((name) => name.endsWith("-linux-gnu"));
	const libraries = triplets.flatMap((name) => [`${finalDir}/usr/lib/${name}`, `${finalDir}/lib/${name}`]).join(":");
	const modules = triplets
		.map((name) => `${finalDir}/usr/lib/${name}/qemu`)
		.find((path) => existsSync(path.replace(finalDir, partial)));
	const firmware = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"]
		.map((folder) => ` -L "${finalDir}/${folder}"`)
		.join("");
	mkdirSync(join(partial, "bin"), { mode: 0o755 });
	for (const program of programs.filter((name) => existsSync(join(partial, "usr", "bin", name)))) {
		const lines = [
			"#!/bin/sh",
			`export LD_LIBRARY_PATH="${libraries}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`,
			...(modules === undefined ? [] : [`export QEMU_MODULE_DIR="${modules}"`]),
			`exec "${finalDir}/usr/bin/${program}"${program.startsWith("qemu-system-") ? firmware : ""} "$@"`,
		];
		const path = join(partial, "bin", program);
		writeFileSync(path, `${lines.join("\n")}\n`);
		chmodSync(path, 0o755);
	}
}

function programsIn(dir: string): Omit<FoundQemu, "version"> {
	const bin = join(dir, "bin");
	return {
		system: join(bin, "qemu-system-x86_64"),
		img: join(bin, "qemu-img"),
		nbd: join(bin, "qemu-nbd"),
		origin: "beside",
	};
}

function isSafeCandidate(packageVersion: string | undefined): boolean {
	return packageVersion !== undefined && isSafeQemu(parseQemuVersion(packageVersion));
}

function newestFirst(a: string, b: string): number {
	const [left, right] = [parseQemuVersion(a), parseQemuVersion(b)];
	return left && right ? compareQemuVersions(right, left) : 0;
}

if (import.meta.main) console.log(JSON.stringify(await ensureQemu(), null, 2));
