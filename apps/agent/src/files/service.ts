import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { Output, ParsedInput } from "@sterna/shared/protocol/commands";
import type { OpenedView } from "./opened-view.ts";

type Disk = Pick<ParsedInput<"files.fileSystems">, "access" | "pointId" | "volumeId">;

export interface FilesNeeds {
	/** Opens a disk of a point for looking into; takes seconds. */
	open(disk: Disk): Promise<OpenedView>;
	/** Ends a view after this long without a question. */
	idleMs: number;
}

/** Each is a virtual machine of its own, with some hundred MiB of memory. */
const maxViews = 2;

interface Kept {
	key: string;
	opening: Promise<OpenedView>;
	/** Questions under way. */
	users: number;
	idle: NodeJS.Timeout | null;
}

/**
 * Looks into the file systems of recovery points. The first question about a disk boots an appliance, which stays for the
 * next ones; a disk that nobody asks about any more makes room for another one.
 */
export class FilesService {
	readonly #needs: FilesNeeds;
	/** The one asked last stands last. */
	readonly #kept = new Map<string, Kept>();

	constructor(needs: FilesNeeds) {
		this.#needs = needs;
	}

	async fileSystems(disk: Disk): Promise<Output<"files.fileSystems">> {
		return this.#with(disk, async ({ view }) => ({ fileSystems: await view.fileSystems() }));
	}

	async list({ device, folder, ...disk }: ParsedInput<"files.list">): Promise<Output<"files.list">> {
		return this.#with(disk, ({ view }) => view.list(device, folder));
	}

	async *read(
		{ device, path, ...disk }: ParsedInput<"files.read">,
		signal: AbortSignal,
	): AsyncGenerator<Output<"files.read">> {
		const kept = await this.#take(disk);
		try {
			const { view } = await kept.opening;
			for await (const piece of view.read(device, path, signal)) yield { data: Buffer.from(piece).toString("base64") };
		} catch (error) {
			throw await explain(kept, error);
		} finally {
			this.#giveBack(kept);
		}
	}

	/** Ends every view, also one that is being asked. */
	async close(): Promise<void> {
		await Promise.allSettled([...this.#kept.values()].map((kept) => this.#end(kept)));
	}

	async #with<T>(disk: Disk, ask: (opened: OpenedView) => Promise<T>): Promise<T> {
		const kept = await this.#take(disk);
		try {
			return await ask(await kept.opening);
		} catch (error) {
			throw await explain(kept, error);
		} finally {
			this.#giveBack(kept);
		}
	}

	async #take(disk: Disk): Promise<Kept> {
		const key = [disk.access.repositoryId, disk.pointId, disk.volumeId].join("/");
		const found = this.#kept.get(key);
		if (found && (await isUsable(found))) return this.#use(found);
		if (found) await this.#end(found);
		// While that ended, someone else may have asked for the same disk.
		const meanwhile = this.#kept.get(key);
		if (meanwhile) return this.#use(meanwhile);
		if (this.#kept.size >= maxViews) {
			const longestIdle = [...this.#kept.values()].find((kept) => kept.users === 0);
			if (!longestIdle) {
				throw new SternaError("no_capacity", `this server looks into ${maxViews} backups already`, {
					cure: "wait until those who look or download are done",
				});
			}
			void this.#end(longestIdle);
		}
		const kept: Kept = { key, opening: this.#needs.open(disk), users: 0, idle: null };
		// A failure reaches those who asked; the next question tries again.
		kept.opening.catch(() => this.#kept.get(key) === kept && this.#kept.delete(key));
		return this.#use(kept);
	}

	#use(kept: Kept): Kept {
		if (kept.idle) clearTimeout(kept.idle);
		kept.users++;
		this.#kept.delete(kept.key);
		this.#kept.set(kept.key, kept);
		return kept;
	}

	#giveBack(kept: Kept): void {
		kept.users--;
		if (kept.users > 0 || this.#kept.get(kept.key) !== kept) return;
		kept.idle = setTimeout(() => void this.#end(kept), this.#needs.idleMs);
		kept.idle.unref();
	}

	async #end(kept: Kept): Promise<void> {
		if (kept.idle) clearTimeout(kept.idle);
		if (this.#kept.get(kept.key) === kept) this.#kept.delete(kept.key);
		const opened = await kept.opening.catch(() => null);
		// Best effort: what is left of it ends with this process.
		await opened?.close().catch(() => {});
	}
}

async function isUsable(kept: Kept): Promise<boolean> {
	const opened = await kept.opening.catch(() => null);
	return opened?.isAlive() === true;
}

/** To the appliance a repository that is away or damaged is an I/O error; the person is told the reason. */
async function explain(kept: Kept, error: unknown): Promise<unknown> {
	const opened = await kept.opening.catch(() => null);
	const isAboutReading = error instanceof SternaError && error.code === "unavailable";
	return (isAboutReading && opened?.problem()) || error;
}

/** Removes what sessions of an earlier life of this agent left behind: sockets and empty overlays. */
export async function removeLeftovers(prefix: string): Promise<void> {
	const names = await readdir(dirname(prefix));
	for (const name of names.filter((name) => name.startsWith(basename(prefix)))) {
		await rm(join(dirname(prefix), name), { recursive: true, force: true });
	}
}
