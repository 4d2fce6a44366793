import { realpath, stat } from "node:fs/promises";
import type { Storage } from "@sterna/repository/storage";
import { openDirectory, prepareDirectory } from "@sterna/repository/storage/directory";
import { openS3 } from "@sterna/repository/storage/s3";
import type { RepositoryPlace } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { isInside } from "../config.ts";
import type { AgentContext } from "../context.ts";

type Host = Pick<AgentContext, "config" | "dataDir">;

/**
 * Opens the place of a repository. A folder is one that the configuration names: nothing from a socket becomes a path. It is
 * never made here: a mount point without its mount would be filled instead of the disk that is meant.
 * @throws {SternaError} `not_found` for a folder that is not configured; `unavailable` when it is not there now; `invalid`
 * when it leads into a storage pool or the data folder after all.
 */
export async function openPlace(place: RepositoryPlace, host: Host): Promise<Storage> {
	return place.kind === "s3" ? openS3(place) : openDirectory(await repositoryFolder(place.name, host));
}

/** As `openPlace`, of a place that is to hold a new repository. @throws {SternaError} `conflict` when a folder holds other things. */
export async function preparePlace(place: RepositoryPlace, host: Host): Promise<Storage> {
	if (place.kind === "directory") await prepareDirectory(await repositoryFolder(place.name, host));
	return openPlace(place, host);
}

async function repositoryFolder(name: string, { config, dataDir }: Host): Promise<string> {
	const folder = config.repositories.find((one) => one.name === name);
	if (!folder) {
		throw new SternaError("not_found", `this host has no folder for backups named ${name}`, {
			cure: "name it under repositories in the agent's config.json and restart the agent",
		});
	}
	const real = await realpath(folder.path).catch((cause: unknown) => {
		throw new SternaError("unavailable", `the folder for backups ${name} is not there`, {
			cure: "mount it, or make it",
			cause,
		});
	});
	if (!(await stat(real)).isDirectory())
		throw new SternaError("invalid", `the place for backups ${name} is not a folder`);
	for (const other of [dataDir, ...config.pools.map(({ path }) => path)]) {
		const taken = await realpath(other).catch(() => other);
		if (isInside(real, taken) || isInside(taken, real)) {
			throw new SternaError("invalid", `the folder for backups ${name} leads into what it is to save`, {
				cure: "put backups on a disk of their own",
			});
		}
	}
	return real;
}
