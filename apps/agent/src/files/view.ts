import { constants, type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { GuestFile } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";
import { maxLineLength } from "./guestfish.ts";
import { bytesOfName, bytesOfPath, fitsInList, nameOfBytes, quoted } from "./names.ts";
import { type FileStat, parseStats } from "./stat.ts";

/** The one thing that a view needs of a guestfish. */
export interface Commands {
	run(line: string, timeoutMs: number): Promise<string>;
}

export interface FileSystem {
	/** As libguestfs names it: `/dev/sda1`, `/dev/vg0/root`. */
	device: string;
	/** `ext4`, `ntfs`. */
	type: string;
}

/** What a page can show; the rest of a larger folder is left out and told. */
const maxEntries = 10_000;
/** Keeps a listing of long names well inside a frame of the protocol. */
const maxNameCharacters = 1_000_000;
/** One question to the appliance; other questions come in between two pieces. */
const pieceBytes = 4 * 1024 * 1024;
/** Items of a stream (`files.read`): in base64 below its limit of 400,000 characters. */
const itemBytes = 256 * 1024;
const timeoutMs = 60_000;

/** The file systems of one disk, as a person walks through them. Paths and names are text as `names.ts` writes it. */
export class View {
	readonly #commands: Commands;
	readonly #folder: string;
	readonly #diskBytes: number;
	#fileSystems: FileSystem[] | null = null;
	#mounted: string | null = null;
	#last: Promise<unknown> = Promise.resolve();

	/** `folder` takes what the appliance hands out, for a moment. */
	constructor(commands: Commands, { folder, diskBytes }: { folder: string; diskBytes: number }) {
		this.#commands = commands;
		this.#folder = folder;
		this.#diskBytes = diskBytes;
	}

	/** Those that can be looked into: no swap, nothing unknown. */
	fileSystems(): Promise<FileSystem[]> {
		return this.#inTurn(() => this.#findFileSystems());
	}

	/** @throws {SternaError} `not_found`; `invalid` for what is no folder. */
	list(device: string, folder: string): Promise<{ files: GuestFile[]; truncated: boolean }> {
		const path = bytesOfPath(folder);
		return this.#inTurn(async () => {
			await this.#mount(device);
			const { names, truncated } = await this.#names(path);
			const stats = await this.#stats(path, names);
			const files = names.map((name, index): GuestFile => {
				return { name: nameOfBytes(name), ...(stats[index] ?? { kind: "other", sizeBytes: 0, modifiedAt: null }) };
			});
			return { files: files.sort((a, b) => (a.name < b.name ? -1 : 1)), truncated };
		});
	}

	/**
	 * The content of a file, piece by piece; links are followed inside the disk.
	 * @throws {SternaError} `not_found`; `invalid` for a folder, a device, or a sparse file larger than its disk.
	 */
	async *read(device: string, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
		const real = await this.#inTurn(async () => {
			await this.#mount(device);
			const resolved = await this.#commands.run(`realpath ${quoted(bytesOfPath(path))}`, timeoutMs);
			return Buffer.from(resolved.slice(0, -1), "latin1");
		});
		const [stat] = await this.#inTurn(() => this.#statEach([real]));
		if (stat?.kind !== "file") throw new SternaError("invalid", "only files can be read, and this is none");
		if (stat.sizeBytes > this.#diskBytes) {
			throw new SternaError("invalid", "this file has holes and claims to be larger than the disk it lies on", {
				cure: "restore the disk, and copy the file inside the guest with its holes",
			});
		}
		for (let offset = 0; offset < stat.sizeBytes; offset += pieceBytes) {
			signal.throwIfAborted();
			const piece = await this.#inTurn(async () => {
				await this.#mount(device);
				const lengthBytes = Math.min(pieceBytes, stat.sizeBytes - offset);
				return this.#handedOut(
					(to) => `download-offset ${quoted(real)} ${to} ${offset} ${lengthBytes}`,
					(file) => file.readFile(),
				);
			});
			for (let from = 0; from < piece.length; from += itemBytes) yield piece.subarray(from, from + itemBytes);
		}
	}

	/** Several people may look at once, at different file systems: each turn has the mount for itself. */
	#inTurn<T>(work: () => Promise<T>): Promise<T> {
		const turn = this.#last.then(work);
		this.#last = turn.catch(() => {});
		return turn;
	}

	async #findFileSystems(): Promise<FileSystem[]> {
		if (this.#fileSystems) return this.#fileSystems;
		const lines = (await this.#commands.run("list-filesystems", timeoutMs)).split("\n");
		const found = lines.flatMap((line) => {
			const parts = /^(\/dev\/.*|btrfsvol:.*): ([\w.+-]{1,50})$/.exec(line);
			if (!parts) return [];
			const [, device = "", type = ""] = parts;
			return type === "swap" || type === "unknown"
				? []
				: [{ device: nameOfBytes(Buffer.from(device, "latin1")), type }];
		});
		this.#fileSystems = found.filter(({ device }) => device.length <= 200).slice(0, 200);
		return this.#fileSystems;
	}

	/** Mounts that device alone; only what the disk was found to hold, whatever is asked for. */
	async #mount(device: string): Promise<void> {
		if (this.#mounted === device) return;
		const known = await this.#findFileSystems();
		if (!known.some((one) => one.device === device))
			throw new SternaError("not_found", `the disk has no file system ${printable(device, 200)}`);
		this.#mounted = null;
		await this.#commands.run("umount-all", timeoutMs);
		await this.#commands.run(`mount-ro ${quoted(bytesOfName(device))} "/"`, timeoutMs);
		this.#mounted = device;
	}

	async #names(path: Uint8Array): Promise<{ names: Buffer[]; truncated: boolean }> {
		return this.#handedOut(
			(to) => `ls0 ${quoted(path)} ${to}`,
			async (from) => {
				const names: Buffer[] = [];
				let characters = 0;
				for await (const name of namesIn(from)) {
					characters += nameOfBytes(name).length;
					if (names.length >= maxEntries || characters > maxNameCharacters) return { names, truncated: true };
					names.push(name);
				}
				return { names, truncated: false };
			},
		);
	}

	async #stats(folder: Uint8Array, names: Buffer[]): Promise<FileStat[]> {
		const found = new Map<Buffer, FileStat>();
		const question = `lstatnslist ${quoted(folder)} `;
		for (const some of inLists(names.filter(fitsInList), maxLineLength - question.length)) {
			const list = quoted(Buffer.concat(some.flatMap((name) => [name, Buffer.from(" ")])));
			const stats = parseStats(await this.#commands.run(question + list, timeoutMs));
			for (const [index, name] of some.entries()) {
				const stat = stats[index];
				if (stat) found.set(name, stat);
			}
		}
		const others = names.filter((name) => !fitsInList(name));
		const stats = await this.#statEach(others.map((name) => Buffer.concat([folder, Buffer.from("/"), name])));
		for (const [index, name] of others.entries()) found.set(name, stats[index] ?? nothing);
		return names.map((name) => found.get(name) ?? nothing);
	}

	async #statEach(paths: Uint8Array[]): Promise<FileStat[]> {
		const stats: FileStat[] = [];
		for (const path of paths) {
			const [stat] = parseStats(await this.#commands.run(`lstatns ${quoted(path)}`, timeoutMs));
			stats.push(stat ?? nothing);
		}
		return stats;
	}

	/**
	 * Has guestfish write into a file, which is gone when `use` has ended. The folder is guestfish's own: what lies there is
	 * followed nowhere.
	 */
	async #handedOut<T>(command: (to: string) => string, use: (file: FileHandle) => Promise<T>): Promise<T> {
		const path = join(this.#folder, "handed-out");
		try {
			await this.#commands.run(command(path), timeoutMs);
			const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
			try {
				return await use(file);
			} finally {
				await file.close();
			}
		} finally {
			await rm(path, { force: true });
		}
	}
}

const nothing: FileStat = { kind: "other", sizeBytes: 0, modifiedAt: null };

/** Lists of names that are at most so many characters long with their spaces and quotes; one name at least in each. */
function inLists(names: Buffer[], maxLength: number): Buffer[][] {
	const lists: Buffer[][] = [];
	let length = Number.POSITIVE_INFINITY;
	for (const name of names) {
		length += name.length + 1;
		if (length > maxLength - 2) {
			lists.push([]);
			length = name.length + 1;
		}
		lists.at(-1)?.push(name);
	}
	return lists;
}

/** The names of a listing, each ended by a NUL byte, without holding all of a folder with millions. */
async function* namesIn(file: FileHandle): AsyncGenerator<Buffer> {
	let rest: Buffer = Buffer.alloc(0);
	for await (const chunk of file.createReadStream({ autoClose: false })) {
		if (!Buffer.isBuffer(chunk)) continue;
		const bytes = Buffer.concat([rest, chunk]);
		let from = 0;
		for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, from)) {
			if (end > from) yield bytes.subarray(from, end);
			from = end + 1;
		}
		rest = bytes.subarray(from);
	}
}
