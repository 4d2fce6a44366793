import type { Patience } from "@sterna/backup/run-waiting";
import { createRepository, identifyRepository, openRepository } from "@sterna/repository/open";
import type { Repository } from "@sterna/repository/repository";
import { checkPlace } from "@sterna/repository/storage/check-place";
import type { RecoveryPoint, RepositoryAccess } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { AgentContext, RepositoryService } from "../context.ts";
import { patientStorage } from "./patient-storage.ts";
import { openPlace, preparePlace } from "./place.ts";

/** How long an opened repository is kept after its last use. */
const idleMs = 60_000;
/** A page of points stays well under a frame (4 MiB). */
const pageBytes = 2 * 1024 * 1024;
const pagePoints = 200;

interface Shared {
	repository: Promise<Repository>;
	users: number;
	idle: NodeJS.Timeout | null;
}

/** The repositories that this agent works with. What is opened is shared, and closed a while after its last use. */
export class Repositories implements RepositoryService {
	readonly #context: Pick<AgentContext, "config" | "dataDir">;
	readonly #shared = new Map<string, Shared>();

	constructor(context: Pick<AgentContext, "config" | "dataDir">) {
		this.#context = context;
	}

	/** Works with the repository; whatever fails in it is not tried again. @throws {SternaError} those of opening it. */
	async use<Result>(access: RepositoryAccess, task: (repository: Repository) => Promise<Result>): Promise<Result> {
		const { repository, release } = await this.lease(access);
		try {
			return await task(repository);
		} finally {
			release();
		}
	}

	/** The repository for a longer time, until `release`. */
	async lease(access: RepositoryAccess): Promise<{ repository: Repository; release(): void }> {
		const key = JSON.stringify(access);
		const shared = this.#shared.get(key) ?? { repository: this.#open(access), users: 0, idle: null };
		this.#shared.set(key, shared);
		if (shared.idle) clearTimeout(shared.idle);
		shared.idle = null;
		shared.users += 1;
		let released = false;
		const release = () => {
			if (released) return;
			released = true;
			shared.users -= 1;
			if (shared.users === 0) shared.idle = setTimeout(() => this.#close(key, shared), idleMs).unref();
		};
		try {
			return { repository: await shared.repository, release };
		} catch (error) {
			// The next one tries again.
			if (this.#shared.get(key) === shared) this.#shared.delete(key);
			release();
			throw error;
		}
	}

	/** A repository of one's own, whose every call waits while the place is away, as long as `patience` lasts. */
	async openPatiently(
		access: RepositoryAccess,
		patience: Patience,
		onStored: (bytes: number) => void,
	): Promise<Repository> {
		const place = await openPlace(access.place, this.#context);
		const storage = patientStorage(place, patience, onStored);
		return openRepository(storage, { repositoryId: access.repositoryId, key: access.key });
	}

	async create({ access }: Parameters<RepositoryService["create"]>[0]) {
		const storage = await preparePlace(access.place, this.#context);
		await checkPlace(storage);
		const made = await createRepository(storage, { repositoryId: access.repositoryId, key: access.key });
		await made.close();
		return this.use(access, (repository) => repository.usage());
	}

	async identify({ place }: Parameters<RepositoryService["identify"]>[0]) {
		const storage = await openPlace(place, this.#context);
		try {
			return { repositoryId: await identifyRepository(storage) };
		} finally {
			await storage.close();
		}
	}

	/** Opened anew: one that is shared was perhaps opened with a key that counts no more, and the console asks which does. */
	async inspect({ access }: Parameters<RepositoryService["inspect"]>[0]) {
		const repository = await this.#open(access);
		try {
			return await repository.usage();
		} finally {
			await repository.close();
		}
	}

	async replaceKey({ access, newKey }: Parameters<RepositoryService["replaceKey"]>[0]): Promise<void> {
		await this.use(access, (repository) => repository.replaceKey(newKey));
	}

	async points({ access, after }: Parameters<RepositoryService["points"]>[0]) {
		const { points } = await this.use(access, (repository) => repository.points());
		const behind = points
			.filter(({ pointId }) => after === null || pointId > after)
			.sort((a, b) => (a.pointId < b.pointId ? -1 : 1));
		const page = firstPage(behind);
		return { points: page, more: page.length < behind.length };
	}

	async prune({ access, pointIds }: Parameters<RepositoryService["prune"]>[0]): Promise<void> {
		await this.use(access, (repository) => repository.prune(pointIds));
	}

	async close(): Promise<void> {
		await Promise.all([...this.#shared].map(([key, shared]) => this.#close(key, shared)));
	}

	async #open(access: RepositoryAccess): Promise<Repository> {
		const storage = await openPlace(access.place, this.#context);
		return openRepository(storage, { repositoryId: access.repositoryId, key: access.key });
	}

	async #close(key: string, shared: Shared): Promise<void> {
		if (shared.idle) clearTimeout(shared.idle);
		if (this.#shared.get(key) === shared) this.#shared.delete(key);
		// Best effort: it was opened for reading and whole calls only.
		await shared.repository.then((repository) => repository.close()).catch(() => {});
	}
}

/** As many points from the front as fit a frame, at least one. */
function firstPage(points: readonly RecoveryPoint[]): RecoveryPoint[] {
	const page: RecoveryPoint[] = [];
	let bytes = 0;
	for (const point of points) {
		bytes += Buffer.byteLength(JSON.stringify(point));
		if (page.length > 0 && (bytes > pageBytes || page.length === pagePoints)) break;
		page.push(point);
	}
	return page;
}

/** @throws {SternaError} `not_found` when the key of a task that an earlier life began is gone. */
export function needAccess(access: RepositoryAccess | null): RepositoryAccess {
	if (access) return access;
	throw new SternaError("not_found", "the key of the repository was not kept for this task", {
		cure: "begin it again",
	});
}
