import { join } from "node:path";
import { HostId } from "@sterna/shared/ids";
import { z } from "zod";
import { readJsonFile, writeDurably } from "../durable-file.ts";

const RevocationsFile = z.strictObject({ hostIds: z.array(HostId) });

/** Hosts whose certificates no longer count, as the console last said; kept for the time when it cannot be asked. */
export class Revocations {
	readonly #path: string;
	readonly #listeners = new Set<() => void>();
	#hostIds: ReadonlySet<string>;

	private constructor(path: string, hostIds: readonly HostId[]) {
		this.#path = path;
		this.#hostIds = new Set(hostIds);
	}

	static async open(dataDir: string): Promise<Revocations> {
		const path = join(dataDir, "revoked.json");
		return new Revocations(path, (await readJsonFile(path, RevocationsFile))?.hostIds ?? []);
	}

	has(hostId: string): boolean {
		return this.#hostIds.has(hostId);
	}

	/** Takes the whole list. Fulfilled when it is on disk; connections of those on it are dropped before. */
	async set(hostIds: readonly HostId[]): Promise<void> {
		this.#hostIds = new Set(hostIds);
		for (const listener of this.#listeners) listener();
		await writeDurably(this.#path, JSON.stringify({ hostIds }));
	}

	onChange(listener: () => void): void {
		this.#listeners.add(listener);
	}
}
