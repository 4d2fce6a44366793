import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	type AptSource,
	parseDeb822Sources,
	parseOneLineSources,
	renderDeb822Sources,
	selectDistributionSources,
} from "./apt-sources.ts";
import { readSystemRelease, usesApt } from "./debian-release.ts";
import { run } from "./run.ts";

/** Packages cannot be fetched here; the message says why and what to do. */
export class AptUnavailableError extends Error {
	override name = "AptUnavailableError";
}

/** apt with sources, lists and archives of its own: the machine's configuration and packages stay as they are. */
export type PrivateApt = {
	codename: string;
	/** The version that would be installed, e.g. "1:10.0.2+ds-2"; undefined where no source has the package. */
	candidateVersion(name: string, suite?: string): Promise<string | undefined>;
	/** Names of the packages that this one directly depends on. */
	dependencies(name: string): Promise<string[]>;
	/** The names themselves and those of all packages that they need to run, installed here or not. */
	withDependencies(names: string[]): Promise<string[]>;
	/** Fetches the packages themselves, whether or not they are installed; paths of the .deb files. */
	download(names: string[], suite?: string): Promise<string[]>;
	/** Fetches those dependencies of the packages that this machine does not have; paths of the .deb files. */
	downloadMissingDependencies(names: string[], suite?: string): Promise<string[]>;
};

/**
 * Opens a private apt over the distribution's own mirrors, as the machine's sources name them, and removes it after
 * `work`. Needs no root. Throws AptUnavailableError off Debian or without a usable source; CommandError when apt fails.
 */
export async function withPrivateApt<T>(
	options: { backports: boolean },
	work: (apt: PrivateApt) => Promise<T>,
): Promise<T> {
	const release = readSystemRelease();
	if (!usesApt(release))
		throw new AptUnavailableError(
			`${release.prettyName} has no apt: packages can only be fetched on Debian 12 or newer`,
		);
	const sources = selectDistributionSources(readMachineSources(), release.codename, options.backports);
	if (sources.length === 0)
		throw new AptUnavailableError(
			`no apt source for ${release.codename} main in /etc/apt: add the distribution's mirror there`,
		);
	const dir = mkdtempSync(join(tmpdir(), "sterna-apt-"));
	try {
		const settings = layOut(dir, sources);
		await run("apt-get", [...settings, "update", "-q"]);
		return await work(openApt(dir, settings, release.codename));
	} finally {
		rmSync(dir, { recursive: true, force: true });
	}
}

function openApt(dir: string, settings: string[], codename: string): PrivateApt {
	const target = (suite: string | undefined) => (suite === undefined ? [] : ["-t", suite]);
	const archives = join(dir, "cache", "archives");
	return {
		codename,
		async candidateVersion(name, suite) {
			const policy = await run("apt-cache", [...settings, ...target(suite), "policy", name]);
			const version = /^\s*Candidate:\s*(\S+)/m.exec(policy)?.[1];
			return version === "(none)" ? undefined : version;
		},
		async dependencies(name) {
			const text = await run("apt-cache", [...settings, "depends", name]);
			return [...text.matchAll(/^\s*Depends:\s*(\S+)/gm)].map((match) => match[1] ?? "");
		},
		async withDependencies(names) {
			const others = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map(
				(kind) => `--no-${kind}`,
			);
			const text = await run("apt-cache", [...settings, "depends", "--recurse", ...others, ...names]);
			// Packages stand at the beginning of a line; virtual ones, in angle brackets, have no file.
			return [...new Set(text.split("\n").filter((line) => /^[a-z0-9]/.test(line)))];
		},
		async download(names, suite) {
			const into = mkdtempSync(join(dir, "download-"));
			chmodSync(into, 0o777);
			await run("apt-get", [...settings, ...target(suite), "-q", "download", ...names], { cwd: into });
			return debsIn(into);
		},
		async downloadMissingDependencies(names, suite) {
			await run("apt-get", [
				...settings,
				...target(suite),
				"install",
				"-q",
				"-y",
				"--no-install-recommends",
				"--download-only",
				...names,
			]);
			return debsIn(archives);
		},
	};
}

/** Makes the private folders and gives back the options that point apt at them. */
function layOut(dir: string, sources: AptSource[]): string[] {
	// apt fetches as its own unprivileged user, who has to get in.
	chmodSync(dir, 0o755);
	for (const folder of ["lists/partial", "cache/archives/partial", "parts"])
		mkdirSync(join(dir, folder), { recursive: true });
	writeFileSync(join(dir, "parts", "distribution.sources"), renderDeb822Sources(sources));
	const set: Record<string, string> = {
		"Dir::Etc::sourcelist": "/dev/null",
		"Dir::Etc::sourceparts": join(dir, "parts"),
		"Dir::State::lists": join(dir, "lists"),
		"Dir::Cache": join(dir, "cache"),
		"Dir::Cache::archives": join(dir, "cache", "archives"),
		// The folders are ours alone; without this apt would take the system's lock, which needs root.
		"Debug::NoLocking": "1",
		"APT::Install-Recommends": "0",
		"Acquire::Languages": "none",
		"Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
	};
	return Object.entries(set).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

function readMachineSources(): AptSource[] {
	const sources: AptSource[] = [];
	if (existsSync("/etc/apt/sources.list"))
		sources.push(...parseOneLineSources(readFileSync("/etc/apt/sources.list", "utf8")));
	const parts = "/etc/apt/sources.list.d";
	for (const name of existsSync(parts) ? readdirSync(parts).sort() : []) {
		if (name.endsWith(".sources")) sources.push(...parseDeb822Sources(readFileSync(join(parts, name), "utf8")));
		if (name.endsWith(".list")) sources.push(...parseOneLineSources(readFileSync(join(parts, name), "utf8")));
	}
	return sources;
}

function debsIn(folder: string): string[] {
	return readdirSync(folder)
		.filter((name) => name.endsWith(".deb"))
		.map((name) => join(folder, name));
}
