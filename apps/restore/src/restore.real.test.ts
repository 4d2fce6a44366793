import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createRepository } from "@sterna/repository/open";
import { openDirectory, prepareDirectory } from "@sterna/repository/storage/directory";
import { backUp } from "@sterna/repository/testing/points";
import { newId, type PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const MiB = 1024 * 1024;
const key = await formatRepositoryKey(new Uint8Array(32).fill(7));
const content = Buffer.concat([
	randomBytes(3 * MiB),
	Buffer.alloc(20 * MiB),
	Buffer.alloc(MiB, "sterna"),
	randomBytes(MiB),
]);
const volumeId = newId(VolumeId);
let work = "";
let program = "";
let place = "";
let pointId: PointId;

beforeAll(async () => {
	work = await mkdtemp(join(tmpdir(), "sterna-restore-"));
	const built = join(work, "built");
	await run(process.execPath, ["build.ts", "--out", built], { cwd: new URL("..", import.meta.url).pathname });
	// The bundle must need nothing of this tree: it runs from an empty folder elsewhere.
	await cp(built, join(work, "alone"), { recursive: true });
	await writeFile(join(work, "alone", "package.json"), '{"type":"module"}');
	program = join(work, "alone", "sterna-restore.js");
	place = join(work, "repository");
	await mkdir(place);
	await prepareDirectory(place);
	const repository = await createRepository(await openDirectory(place), { repositoryId: newId(RepositoryId), key });
	pointId = (await backUp(repository, { volumeId, content })).pointId;
	await repository.close();
	await writeFile(join(work, "key.txt"), `${key}\n`);
});
afterAll(() => rm(work, { recursive: true, force: true }));

/** Runs the bundle with an empty environment. */
async function restoreProgram(args: string[], env: Record<string, string> = {}) {
	const options = { cwd: join(work, "alone"), env: { PATH: process.env.PATH ?? "", ...env } };
	return run(process.execPath, [program, ...args], options).then(
		({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
		({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
	);
}

async function folder(name: string): Promise<string> {
	const path = join(work, name);
	await mkdir(path);
	return path;
}

test("the bundle alone brings a disk back bit by bit from the place and the key, holes as holes", async () => {
	const to = await folder("raw");
	const args = [
		"restore",
		"--place",
		place,
		"--key-file",
		join(work, "key.txt"),
		"--point",
		pointId,
		"--to",
		to,
		"--json",
	];
	const { code, stdout } = await restoreProgram(args);
	expect(code).toBe(0);
	const { files } = JSON.parse(stdout);
	expect(files).toMatchObject([{ volumeId, sizeBytes: content.length }]);
	expect(
		createHash("sha256")
			.update(await readFile(files[0].path))
			.digest(),
	).toEqual(createHash("sha256").update(content).digest());
	expect((await stat(files[0].path)).blocks * 512).toBeLessThan(8 * MiB);

	const again = await restoreProgram(args);
	expect(again.code).toBe(1);
	expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: "conflict" } });
});

test("a qcow2 file holds the same disk", async () => {
	const to = await folder("qcow2");
	const args = ["restore", "--place", place, "--key-file", join(work, "key.txt"), "--point", pointId, "--to", to];
	expect((await restoreProgram([...args, "--format", "qcow2"])).code).toBe(0);
	const [name = ""] = await readdir(to);
	expect(name).toMatch(/\.qcow2$/);
	const raw = join(work, "compare.raw");
	await run("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", join(to, name), raw]);
	expect((await readFile(raw)).equals(content)).toBe(true);
});

test("points are listed, verified, and the key is told good, with the key from the environment", async () => {
	const env = { STERNA_REPOSITORY_KEY: key };
	const listed = await restoreProgram(["points", "--place", place, "--json"], env);
	expect(JSON.parse(listed.stdout)).toMatchObject({ points: [{ pointId, volumes: [{ volumeId }] }], unreadable: [] });
	expect((await restoreProgram(["points", "--place", place], env)).stdout).toContain(pointId);
	const verified = await restoreProgram(["verify", "--place", place, "--json"], env);
	expect(JSON.parse(verified.stdout)).toMatchObject({ points: [{ pointId, readBytes: 5 * MiB, damage: null }] });
	expect((await restoreProgram(["key", "--place", place], env)).stdout).toMatch(/opens repository/);
	expect((await restoreProgram(["--help"])).stdout).toMatch(/Needs the repository and\s+its key, nothing else/);
});

test("a wrong key, no key, a slip in the key, no repository and no such point are told apart", async () => {
	const other = await formatRepositoryKey(new Uint8Array(32).fill(8));
	const slip = `${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`;
	const cases = [
		{ args: ["key", "--place", place], env: { STERNA_REPOSITORY_KEY: other }, code: "forbidden" },
		{ args: ["key", "--place", place], env: {}, code: "invalid" },
		{ args: ["key", "--place", place], env: { STERNA_REPOSITORY_KEY: slip }, code: "invalid" },
		{ args: ["key", "--place", join(work, "key.txt")], env: { STERNA_REPOSITORY_KEY: key }, code: "unavailable" },
		{
			args: ["verify", "--place", place, "--point", newId(RepositoryId)],
			env: { STERNA_REPOSITORY_KEY: key },
			code: "not_found",
		},
		{ args: ["points", "--place", "s3://bucket/"], env: { STERNA_REPOSITORY_KEY: key }, code: "invalid" },
	];
	for (const { args, env, code } of cases) {
		const ended = await restoreProgram([...args, "--json"], env);
		expect(ended.code).toBe(1);
		expect(JSON.parse(ended.stdout).error.code, args.join(" ")).toBe(code);
		expect(`${ended.stdout}${ended.stderr}`).not.toContain(key.slice(20));
	}
});

test("a damaged block is named with its disk and bytes, and leaves no half file", async () => {
	const damaged = join(work, "damaged");
	await cp(place, damaged, { recursive: true });
	const packs = await readdir(join(damaged, "packs"), { recursive: true, withFileTypes: true });
	const pack = packs.find((entry) => entry.isFile() && /^[0-7]/.test(entry.name));
	if (!pack) throw new Error("the repository has a pack of data");
	const path = join(pack.parentPath, pack.name);
	const bytes = await readFile(path);
	bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
	await writeFile(path, bytes);
	const env = { STERNA_REPOSITORY_KEY: key };
	const verified = await restoreProgram(["verify", "--place", damaged], env);
	expect(verified.code).toBe(1);
	expect(verified.stdout).toMatch(new RegExp(`damaged .* bytes 0-262144 of volume ${volumeId}`));
	const to = await folder("half");
	expect((await restoreProgram(["restore", "--place", damaged, "--point", pointId, "--to", to], env)).code).toBe(1);
	expect(await readdir(to)).toEqual([]);
});
