import { isAbsolute, join, relative, resolve } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { Name, ResourceName } from "@sterna/shared/names";
import { z } from "zod";
import { readJsonFile } from "./durable-file.ts";

const AbsolutePath = z.string().startsWith("/", "is an absolute path").max(4096);
const Port = z.int().min(1).max(65535);

/** A folder that holds volumes. Without `poolId` the id is kept in the folder itself, so hosts that share it agree. */
const PoolConfig = z.strictObject({
	name: ResourceName,
	kind: z.enum(["local", "shared"]),
	path: AbsolutePath,
	poolId: z.uuid().optional(),
});

/** A folder for backups: a disk of its own, an NFS mount. It is never made by the agent: an empty mount point is no repository. */
const RepositoryConfig = z.strictObject({ name: ResourceName, path: AbsolutePath });

/** Linux interface names: at most 15 characters (IFNAMSIZ), never a path or an option. */
const InterfaceName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/, "is the name of a network interface");

const NetworkConfig = z.union([
	z.strictObject({ name: ResourceName, bridge: InterfaceName }),
	z.strictObject({ name: ResourceName, user: z.literal(true) }),
]);

/** `<data>/config.json` as an admin may write it. Everything has a default that suits a real server. */
const ConfigFile = z.strictObject({
	name: Name.optional(),
	/** Where peers reach this server; by default the address it reaches the console from. */
	peerAddress: z.string().min(1).max(255).optional(),
	/** The address of this server that peers and migration streams may reach; all by default. */
	listenAddress: z.string().min(1).max(255).default("0.0.0.0"),
	/** 0 takes a free port. */
	peerPort: z.int().min(0).max(65535).default(7676),
	/** Ports of migration streams, each open for one transfer only. */
	streamPorts: z
		.strictObject({ from: Port, to: Port })
		.refine((range) => range.from <= range.to, "ends before it begins")
		.default({ from: 7700, to: 7799 }),
	pools: z.array(PoolConfig).max(64).optional(),
	networks: z
		.array(NetworkConfig)
		.max(64)
		.default([{ name: "user", user: true }]),
	imagesDir: AbsolutePath.optional(),
	repositories: z.array(RepositoryConfig).max(64).default([]),
	driver: z.enum(["qemu", "simulated"]).default("qemu"),
	qemuSystem: z.string().min(1).default("qemu-system-x86_64"),
	qemuImg: z.string().min(1).default("qemu-img"),
	/** File in which is remembered whether KVM runs guests here; agents on one machine may share one. */
	probeMemory: AbsolutePath.optional(),
	/** What the sensors and facts take for the root of `/proc` and `/sys`. */
	sysroot: AbsolutePath.default("/"),
	/** What guests may use together, when that is less than the server has. */
	memoryBytes: z.int().min(0).optional(),
	/** NICs whose loss is a failure of the server. */
	importantNics: z.array(InterfaceName).max(64).default([]),
	metricsPeriodMs: z.int().min(500).max(60_000).default(5000),
	diskSensorPeriodMs: z
		.int()
		.min(500)
		.default(5 * 60_000),
});

/** The configuration with every default filled in. */
export type AgentConfig = z.output<typeof ConfigFile> & {
	pools: z.output<typeof PoolConfig>[];
	imagesDir: string;
	probeMemory: string;
};
export type AgentConfigInput = z.input<typeof ConfigFile>;

/** @throws {SternaError} `invalid` naming what is wrong. */
export function completeConfig(input: unknown, dataDir: string): AgentConfig {
	const config = ConfigFile.parse(input);
	const pools = config.pools ?? [{ name: "local", kind: "local" as const, path: join(dataDir, "pools", "local") }];
	refuseDoubles("pool", pools);
	refuseDoubles("network", config.networks);
	refuseDoubles("repository folder", config.repositories);
	for (const repository of config.repositories) refuseSharedFate(repository, pools, dataDir);
	return {
		...config,
		pools,
		imagesDir: config.imagesDir ?? join(dataDir, "images"),
		probeMemory: config.probeMemory ?? join(dataDir, "probe.json"),
	};
}

/** Reads `<dataDir>/config.json`, or the defaults when there is none. @throws {SternaError} `invalid` naming the file. */
export async function readConfig(dataDir: string): Promise<AgentConfig> {
	return completeConfig((await readJsonFile(join(dataDir, "config.json"), ConfigFile)) ?? {}, dataDir);
}

/**
 * A backup that lies in the folder of what it saves is lost with it, and fills it. Compared as they are written; a link
 * that leads there all the same is found when the folder is opened (`repositories/place.ts`).
 * @throws {SternaError} `invalid`
 */
function refuseSharedFate(
	repository: z.output<typeof RepositoryConfig>,
	pools: readonly z.output<typeof PoolConfig>[],
	dataDir: string,
): void {
	const others = [
		...pools.map((pool) => ({ what: `storage pool ${pool.name}`, path: pool.path })),
		{ what: "agent's data folder", path: dataDir },
	];
	const shared = others.find(({ path }) => isInside(repository.path, path) || isInside(path, repository.path));
	if (!shared) return;
	throw new SternaError(
		"invalid",
		`the repository folder ${repository.name} and the ${shared.what} lie in one another: backups would be lost with what they save`,
		{ cure: "put backups on a disk of their own" },
	);
}

/** Whether a path is the folder or lies under it. */
export function isInside(path: string, folder: string): boolean {
	const way = relative(resolve(folder), resolve(path));
	return way === "" || (way !== ".." && !way.startsWith("../") && !isAbsolute(way));
}

function refuseDoubles(kind: string, things: readonly { name: string }[]): void {
	const seen = new Set<string>();
	for (const { name } of things) {
		if (seen.has(name)) throw new SternaError("invalid", `the configuration has two ${kind}s named ${name}`);
		seen.add(name);
	}
}
