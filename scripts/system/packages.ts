import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { readSystemRelease, type SystemRelease, usesApt } from "./debian-release.ts";
import { run } from "./run.ts";

/** One thing the system must have, and the Debian package that brings it. */
export type SystemNeed = {
	package: string;
	/** Completes the sentence "installing <package>: …". */
	why: string;
	/** Looks at the file system, not at the package database: where the thing came from does not matter. */
	present: () => boolean;
};

/** Packages are missing and this process cannot install them; `command` is what a person can run. */
export class SystemPackagesError extends Error {
	override name = "SystemPackagesError";
	readonly missing: string[];
	readonly command: string | undefined;

	constructor(message: string, missing: string[], command?: string) {
		super(message);
		this.missing = missing;
		this.command = command;
	}
}

/** What the demo needs besides QEMU, which `ensureQemu` looks after. The guest image is built without any of these. */
export const demoNeeds: SystemNeed[] = [
	{
		package: "iproute2",
		why: "network namespaces, bridges and taps of the demo's servers",
		present: () => hasProgram("ip"),
	},
];

/** What looking into the file systems of backups needs: libguestfs, and the kernel that its appliance boots. */
export const lookingNeeds: SystemNeed[] = [
	{
		package: "guestfish",
		why: "looks into the file systems of backups",
		present: () => hasProgram("guestfish"),
	},
	{
		package: "linux-image-cloud-amd64",
		why: "the kernel in which guestfish opens those file systems",
		present: hasKernelWithModules,
	},
];

/** What the tests need on top of the demo. */
export const testNeeds: SystemNeed[] = [
	...demoNeeds,
	...lookingNeeds,
	{
		package: "chromium",
		why: "the browser tests drive it",
		present: () => hasProgram("chromium") || hasProgram("chromium-browser"),
	},
	{ package: "radosgw", why: "a real S3 server for the tests of repositories", present: () => hasProgram("radosgw") },
	{ package: "ceph-mon", why: "the S3 server's map of its stores", present: () => hasProgram("ceph-mon") },
	{ package: "ceph-osd", why: "the S3 server's store", present: () => hasProgram("ceph-osd") },
	{ package: "fonts-dejavu-core", why: "text in the browser tests' screenshots", present: hasTrueTypeFont },
];

/** The system's own QEMU, where it is new enough (see qemu.ts). */
export const qemuNeeds: SystemNeed[] = [
	{ package: "qemu-system-x86", why: "runs the guests", present: () => hasProgram("qemu-system-x86_64") },
	{ package: "qemu-utils", why: "creates and checks disk images", present: () => hasProgram("qemu-img") },
];

export type PackagePlan =
	| { kind: "nothing" }
	| { kind: "install"; needs: SystemNeed[] }
	| { kind: "refuse"; message: string; missing: string[]; command?: string };

/** Decides what to do about the needs that are not there: nothing, install them, or say what a person has to do. */
export function planMissingPackages(
	needs: SystemNeed[],
	system: { isRoot: boolean; release: SystemRelease },
): PackagePlan {
	const absent = needs.filter((need) => !need.present());
	const unique = absent.filter((need, index) => absent.findIndex((other) => other.package === need.package) === index);
	if (unique.length === 0) return { kind: "nothing" };
	const missing = unique.map((need) => need.package);
	const reasons = unique.map((need) => `  ${need.package}: ${need.why}`).join("\n");
	if (!usesApt(system.release)) {
		return {
			kind: "refuse",
			missing,
			message: `${system.release.prettyName} is not a Debian system; install with its own package manager what Debian calls:\n${reasons}`,
		};
	}
	if (!system.isRoot) {
		const command = `sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}'`;
		return {
			kind: "refuse",
			missing,
			command,
			message: `Missing system packages:\n${reasons}\nRun this and start again:\n  ${command}`,
		};
	}
	return { kind: "install", needs: unique };
}

/**
 * Installs those of `needs` that are not present, saying per package which and why.
 * Throws SystemPackagesError where that takes root or another package manager, or when something is still missing after.
 */
export async function ensureSystemPackages(
	needs: SystemNeed[],
	say: (line: string) => void = console.log,
): Promise<void> {
	const plan = planMissingPackages(needs, { isRoot: isRoot(), release: readSystemRelease() });
	switch (plan.kind) {
		case "nothing":
			return;
		case "refuse":
			say(plan.message);
			throw new SystemPackagesError(plan.message, plan.missing, plan.command);
		case "install": {
			for (const need of plan.needs) say(`installing ${need.package}: ${need.why}`);
			const names = plan.needs.map((need) => need.package);
			await installWithUpdateIfNeeded(names);
			const still = plan.needs.filter((need) => !need.present()).map((need) => need.package);
			if (still.length > 0)
				throw new SystemPackagesError(
					`apt-get installed ${still.join(", ")}, but what is needed of it is not there`,
					still,
				);
		}
	}
}

/** True when this process may change the system. */
export function isRoot(): boolean {
	return process.getuid?.() === 0;
}

/** True when an executable file of this name is on PATH or in the administrator's folders. */
export function hasProgram(name: string): boolean {
	return findProgram(name) !== undefined;
}

/** The full path of a program on PATH or in the administrator's folders (often not on a user's PATH). */
export function findProgram(name: string): string | undefined {
	const folders = [
		...(process.env.PATH ?? "").split(delimiter).filter(Boolean),
		"/usr/bin",
		"/usr/sbin",
		"/bin",
		"/sbin",
	];
	return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Lists may be absent (a fresh container) or too old (the mirror dropped that version): only then is an update due. */
async function installWithUpdateIfNeeded(names: string[]): Promise<void> {
	try {
		await aptInstall(names);
	} catch {
		await run("apt-get", [...waitForDpkg, "update", "-q"]);
		await aptInstall(names);
	}
}

const waitForDpkg = ["-o", "DPkg::Lock::Timeout=300"];

async function aptInstall(names: string[]): Promise<void> {
	await run("apt-get", [...waitForDpkg, "install", "-q", "-y", "--no-install-recommends", ...names], {
		env: { DEBIAN_FRONTEND: "noninteractive" },
	});
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}

/** A kernel with its modules, as a server's own; supermin(1) takes the newest of them. */
function hasKernelWithModules(): boolean {
	const kernels = existsSync("/boot") ? readdirSync("/boot").filter((name) => name.startsWith("vmlinuz-")) : [];
	return kernels.some((name) => existsSync(join("/lib/modules", name.slice("vmlinuz-".length), "modules.dep")));
}

function hasTrueTypeFont(): boolean {
	const folder = "/usr/share/fonts";
	if (!existsSync(folder)) return false;
	return readdirSync(folder, { recursive: true }).some((name) => /\.(ttf|otf)$/i.test(String(name)));
}
