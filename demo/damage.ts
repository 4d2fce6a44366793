import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * Changes one byte in the middle of the largest pack of a repository in a folder, as a rotting disk would: its size and
 * its times stay. Returns the pack's path inside the repository.
 * @throws {Error} when nothing is stored yet.
 */
export async function damageRepository(folder: string): Promise<string> {
	const packs = await filesBelow(join(folder, "packs"));
	const [largest] = packs.sort((a, b) => b.sizeBytes - a.sizeBytes);
	if (!largest) throw new Error("nothing is stored in the repository yet; back a guest up first");
	const file = await open(largest.path, "r+");
	try {
		const at = Math.floor(largest.sizeBytes / 2);
		const byte = Buffer.alloc(1);
		await file.read(byte, 0, 1, at);
		const { atime, mtime } = await file.stat();
		await file.write(Buffer.of(byte.readUInt8() ^ 0xff), 0, 1, at);
		await file.utimes(atime, mtime);
	} finally {
		await file.close();
	}
	return largest.path.slice(folder.length + 1);
}

async function filesBelow(folder: string): Promise<{ path: string; sizeBytes: number }[]> {
	const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
	return Promise.all(
		entries
			.filter((entry) => entry.isFile())
			.map(async (entry) => {
				const path = join(entry.parentPath, entry.name);
				return { path, sizeBytes: (await stat(path)).size };
			}),
	);
}
