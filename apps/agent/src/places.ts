import { link, lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Hypervisor, StartRequest, VolumeLocation } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { Volume } from "@sterna/shared/volume";
import { z } from "zod";
import type { AgentConfig } from "./config.ts";
import type { Places } from "./context.ts";
import { readJsonFile } from "./durable-file.ts";
import type { PoolFolder } from "./host-facts.ts";

/** Stands in a pool's folder and says which pool it is, so that hosts that share the folder know it. */
const PoolMarker = z.strictObject({ poolId: z.uuid() });
const markerName = ".sterna-pool.json";

/** Opens the configured pools and knows this server's folders. @throws {SternaError} `conflict` when a folder holds another pool. */
export async function openPlaces(config: AgentConfig, hypervisor: Hypervisor): Promise<Places> {
	await mkdir(config.imagesDir, { recursive: true });
	const pools = new Map<string, PoolFolder>();
	for (const pool of config.pools) {
		await mkdir(pool.path, { recursive: true, mode: 0o711 });
		const poolId = await identifyPool(pool.path, pool.poolId);
		pools.set(pool.name, { name: pool.name, kind: pool.kind, path: pool.path, poolId });
	}

	const volumes = (spec: GuestSpec) => spec.volumes.map(locate);
	const locate = (volume: Volume): VolumeLocation => ({
		volumeId: volume.id,
		path: join(poolOf(volume.pool).path, `${volume.id}.qcow2`),
	});
	const poolOf = (name: string): PoolFolder => {
		const pool = pools.get(name);
		if (!pool) throw new SternaError("not_found", `this host has no storage pool ${name}`);
		return pool;
	};
	const image = (name: string) => imagePath(config.imagesDir, name);

	const places: Places = {
		pools: () => [...pools.values()],
		locate: (wanted) => wanted.map(locate),
		volumes,
		async startRequest(spec): Promise<StartRequest> {
			const { boot } = spec;
			return {
				spec,
				volumes: volumes(spec),
				nics: spec.nics.map((nic) => connect(config, nic.network)),
				...(boot.from === "kernel" ? { kernelPath: await image(boot.kernel) } : {}),
				...(boot.from === "kernel" && boot.initrd ? { initrdPath: await image(boot.initrd) } : {}),
			};
		},
		async createVolumes(wanted, fill) {
			const made: VolumeLocation[] = [];
			try {
				for (const volume of wanted) {
					const location = locate(volume);
					const from =
						fill === "images" && volume.fromImage
							? { path: await image(volume.fromImage), format: imageFormat(volume.fromImage) }
							: null;
					const { exists } = await hypervisor.inspectVolume(location);
					if (!exists) made.push(location);
					await hypervisor.createVolume({ ...location, sizeBytes: volume.sizeBytes, ...(from ? { from } : {}) });
				}
			} catch (error) {
				for (const location of made.reverse()) await hypervisor.deleteVolume(location);
				throw error;
			}
		},
	};
	return places;
}

/** `link` refuses a name that exists, so of two hosts that open a shared folder at once both read the first one's id. */
async function identifyPool(path: string, wanted: string | undefined): Promise<string> {
	const marker = join(path, markerName);
	const mine = join(path, `${markerName}.${crypto.randomUUID()}`);
	await writeFile(mine, JSON.stringify({ poolId: wanted ?? crypto.randomUUID() }), { flush: true });
	try {
		await link(mine, marker);
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
	} finally {
		await rm(mine, { force: true });
	}
	const found = await readJsonFile(marker, PoolMarker);
	if (!found || (wanted && found.poolId !== wanted)) {
		throw new SternaError("conflict", `${path} holds pool ${found?.poolId ?? "unknown"}, not ${wanted}`, {
			cure: "correct the pool's path or its poolId in the agent's configuration",
		});
	}
	return found.poolId;
}

/** Image names hold no slash (`ResourceName`), and links are refused: nothing outside of the folder is ever read. */
async function imagePath(imagesDir: string, name: string): Promise<string> {
	const path = join(imagesDir, name);
	const found = await lstat(path).catch(() => null);
	if (!found?.isFile()) {
		throw new SternaError("not_found", `this host has no image ${name}`, {
			cure: "put the file into its image folder",
		});
	}
	return path;
}

/** An image's format is said by its name and never guessed from its content. */
function imageFormat(name: string): "qcow2" | "raw" {
	return name.endsWith(".qcow2") ? "qcow2" : "raw";
}

function connect(config: AgentConfig, network: string): StartRequest["nics"][number] {
	const found = config.networks.find((candidate) => candidate.name === network);
	if (!found) throw new SternaError("not_found", `this host has no network ${network}`);
	return "bridge" in found ? { kind: "bridge", bridge: found.bridge } : { kind: "user" };
}
