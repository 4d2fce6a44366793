import type { RepositoryKey, RepositoryUsage } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { PointId, RepositoryId } from "@sterna/shared/ids";
import { parseRepositoryKey } from "@sterna/shared/repository-key";
import { type Codec, startCodec } from "./codec/codec.ts";
import { configKey, RepositoryConfig, readConfig, writeConfig } from "./format/config.ts";
import { loadKeyring, newKeyring, storeKeyring } from "./format/keyring.ts";
import type { ReaderId } from "./format/records.ts";
import { Sealing } from "./format/sealing.ts";
import type { Opened } from "./opened.ts";
import { damagedVolumes } from "./read/damaged-volumes.ts";
import { endReading } from "./read/hold.ts";
import { PackSource } from "./read/pack-source.ts";
import { openPoint } from "./read/point-reader.ts";
import { listPoints } from "./read/points.ts";
import { usageOf } from "./read/usage.ts";
import type { Repository, UpkeepOptions } from "./repository.ts";
import { checkPlace } from "./storage/check-place.ts";
import type { Storage } from "./storage.ts";
import { canary } from "./upkeep/canary.ts";
import { collect } from "./upkeep/collect.ts";
import { prune } from "./upkeep/prune.ts";
import { replaceKey } from "./upkeep/replace-key.ts";
import { scrub } from "./upkeep/scrub.ts";
import { abandonSession, beginSession } from "./write/session.ts";

/** Chosen by measurement: docs/decisions/0010. */
export const defaultBlockSizeBytes = 64 * 1024;

/**
 * Makes a repository and opens it. The config is written last: a place where that failed holds no repository.
 * @throws {SternaError} `conflict` when there is one already; `invalid` for a key that was not copied exactly; `incompatible`
 * when the place does not refuse a second creation; those of the storage.
 */
export async function createRepository(
	storage: Storage,
	repository: {
		repositoryId: RepositoryId;
		key: RepositoryKey;
		blockSizeBytes?: number;
		createdAt?: number;
		codec?: Codec;
	},
): Promise<Repository> {
	const { repositoryId, blockSizeBytes = defaultBlockSizeBytes, createdAt = Date.now() } = repository;
	const config = RepositoryConfig.parse({ format: 1, repositoryId, blockSizeBytes, hash: "hmac-sha256", createdAt });
	if ((await storage.size(configKey)) !== null) {
		throw new SternaError("conflict", "there is a repository at this place already", {
			cure: "attach it, or choose another place",
		});
	}
	await checkPlace(storage);
	const keyring = newKeyring();
	const key = await parseRepositoryKey(repository.key);
	await storeKeyring(storage, repositoryId, key, keyring);
	await writeConfig(storage, config);
	return new OpenRepository(openWith(storage, config, new Sealing(repositoryId, keyring), key, repository.codec));
}

/**
 * Opens a repository. Storage and codec are closed with it; without a codec it starts threads of its own when it needs them.
 * @throws {SternaError} `not_found` when there is none; `conflict` when it is another one; `forbidden` for a wrong or replaced
 * key; `invalid` for what is not as it was written, or is of a format that this release does not know.
 */
export async function openRepository(
	storage: Storage,
	repository: { repositoryId: RepositoryId; key: RepositoryKey; codec?: Codec },
): Promise<Repository> {
	return new OpenRepository(await openParts(storage, repository));
}

/** Which repository is at a place; needs no key. @throws {SternaError} `not_found`, `invalid`, those of the storage. */
export async function identifyRepository(storage: Storage): Promise<RepositoryId> {
	return (await readConfig(storage)).repositoryId;
}

/** The inside of a repository, for upkeep's own tests. */
export async function openParts(
	storage: Storage,
	{ repositoryId, key, codec }: { repositoryId: RepositoryId; key: RepositoryKey; codec?: Codec },
): Promise<Opened> {
	const config = await readConfig(storage);
	if (config.repositoryId !== repositoryId) {
		throw new SternaError("conflict", `the repository at this place is another one: ${config.repositoryId}`, {
			cure: `give the place of repository ${repositoryId}`,
		});
	}
	const keyBytes = await parseRepositoryKey(key);
	const keyring = await loadKeyring(storage, repositoryId, keyBytes);
	return openWith(storage, config, new Sealing(repositoryId, keyring), keyBytes, codec);
}

function openWith(
	storage: Storage,
	config: RepositoryConfig,
	sealing: Sealing,
	key: Uint8Array,
	codec = startCodec(),
): Opened {
	const packs = new PackSource(storage, sealing, config.blockSizeBytes);
	return { storage, config, sealing, codec, packs, repositoryKey: { bytes: key } };
}

class OpenRepository implements Repository {
	readonly #opened: Opened;

	constructor(opened: Opened) {
		this.#opened = opened;
	}

	get repositoryId(): RepositoryId {
		return this.#opened.config.repositoryId;
	}

	get storage(): Storage {
		return this.#opened.storage;
	}

	get blockSizeBytes(): number {
		return this.#opened.config.blockSizeBytes;
	}

	points = () => listPoints(this.#opened);
	beginSession = (request: { pointId: PointId; parentPointId: PointId | null }) => beginSession(this.#opened, request);
	abandonSession = (pointId: PointId) => abandonSession(this.#opened, pointId);
	openPoint = (pointId: PointId, hold?: { readerId: ReaderId }) => openPoint(this.#opened, pointId, hold);
	endReading = (readerId: ReaderId) => endReading(this.#opened, readerId);
	damagedVolumes = (pointId: PointId) => damagedVolumes(this.#opened, pointId);
	prune = (pointIds: readonly PointId[]) => prune(this.#opened, pointIds);
	collect = (options: UpkeepOptions) => collect(this.#opened, options);
	scrub = (options: UpkeepOptions) => scrub(this.#opened, options);
	canary = () => canary(this.#opened);
	usage = (): Promise<RepositoryUsage> => usageOf(this.#opened);

	replaceKey = (newKey: RepositoryKey) => replaceKey(this.#opened, newKey);

	async close(): Promise<void> {
		await this.#opened.codec.close();
		await this.#opened.storage.close();
	}
}
