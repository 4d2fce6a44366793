import { join } from "node:path";
import { RepositoryAccess } from "@sterna/shared/backup";
import { makeFolderDurably, readJsonFile, removeDurably, writeDurably } from "../durable-file.ts";

/**
 * The keys of the repositories that tasks of this host still need: a run that must be settled after a restart of the agent,
 * a guest that is being filled. One file per task beside its journal, for root alone, and gone when the task has ended.
 */
export class KeptAccess {
	readonly #folder: string;

	constructor(folder: string) {
		this.#folder = folder;
	}

	/** Fulfilled when it would survive a power cut. */
	async keep(taskId: string, access: RepositoryAccess): Promise<void> {
		await makeFolderDurably(this.#folder);
		await writeDurably(this.#path(taskId), JSON.stringify(access));
	}

	/** Null when there is none. @throws {SternaError} `invalid` for a damaged one. */
	read(taskId: string): Promise<RepositoryAccess | null> {
		return readJsonFile(this.#path(taskId), RepositoryAccess);
	}

	/** Gone already: no change. */
	async forget(taskId: string): Promise<void> {
		await removeDurably(this.#path(taskId));
	}

	#path(taskId: string): string {
		return join(this.#folder, `${taskId}.access.json`);
	}
}
