import { copyFile, link, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../scripts/system/run.ts";
import type { Contestant, Disks, Step } from "./contestant.ts";
import { bytesBelow, type Measured, measureCommand } from "./measure.ts";

/** restic, reading the disk as a raw file: it knows nothing of guests. */
export async function restic(): Promise<Contestant> {
	const version = (await run("restic", ["version"])).split(" ")[1];
	return {
		name: "restic",
		about: `restic ${version} on the raw image, zstd auto, AES-256-CTR with Poly1305`,
		round: (disks) => {
			const env = {
				RESTIC_PASSWORD: "bench",
				RESTIC_REPOSITORY: store(disks),
				RESTIC_CACHE_DIR: join(disks.folder, "cache"),
			};
			return archive(disks, {
				create: () => run("restic", ["init", "--quiet"], { env }),
				save: (source) => measureCommand("restic", ["backup", "--quiet", "disk.raw"], { env, cwd: source }),
				restore: (target) => measureCommand("restic", ["restore", "--quiet", "latest", "--target", target], { env }),
			});
		},
		close: async () => {},
	};
}

/** borg, reading the disk as a raw file. */
export async function borg(): Promise<Contestant> {
	const version = (await run("borg", ["--version"])).trim().split(" ")[1];
	return {
		name: "borg",
		about: `borg ${version} on the raw image, zstd level 1, repokey-blake2 (AES-256-CTR)`,
		round: (disks) => {
			const env = { BORG_PASSPHRASE: "bench", BORG_REPO: store(disks), BORG_BASE_DIR: join(disks.folder, "home") };
			let number = 0;
			return archive(disks, {
				create: () => run("borg", ["init", "--encryption=repokey-blake2"], { env }),
				save: (source) =>
					measureCommand("borg", ["create", "--sparse", "--compression=zstd,1", `::${++number}`, "disk.raw"], {
						env,
						cwd: source,
					}),
				restore: (target) => measureCommand("borg", ["extract", "--sparse", `::${number}`], { env, cwd: target }),
			});
		},
		close: async () => {},
	};
}

interface Archiver {
	create(): Promise<unknown>;
	save(sourceFolder: string): Promise<Measured>;
	restore(targetFolder: string): Promise<Measured>;
}

async function archive(disks: Disks, archiver: Archiver): Promise<{ full: Step; incremental: Step; restore: Step }> {
	const [source, target] = [join(disks.folder, "source"), join(disks.folder, "target")];
	for (const folder of [source, target, store(disks)]) await mkdir(folder, { recursive: true });
	await archiver.create();
	const save = async (disk: string): Promise<Step> => {
		await rm(join(source, "disk.raw"), { force: true });
		await link(disk, join(source, "disk.raw")).catch(() => copyFile(disk, join(source, "disk.raw")));
		const before = await bytesBelow(store(disks));
		const measured = await archiver.save(source);
		return { ...measured, storedBytes: (await bytesBelow(store(disks))) - before };
	};
	const full = await save(disks.base);
	const incremental = await save(disks.changed);
	const restore = { ...(await archiver.restore(target)), storedBytes: null };
	await mustBeSame(disks.changed, join(target, "disk.raw"));
	return { full, incremental, restore };
}

/** Throws when what came back is not what was saved. */
export async function mustBeSame(saved: string, restored: string): Promise<void> {
	await run("cmp", [saved, restored]);
}

function store({ folder }: Disks): string {
	return join(folder, "store");
}
