import { execFileSync } from "node:child_process";
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type OpenedView, openView } from "./opened-view.ts";
import { makeDisk, readerOfFile } from "./testing/disk-of-files.ts";

const folder = mkdtempSync(join(tmpdir(), "sterna-view-"));
const prefix = join(tmpdir(), `sterna-files-${process.pid}-`);
const volumeId = newId(VolumeId);
const disk = join(folder, "disk.raw");
const large = Buffer.alloc(9 * MiB, "some text of which there is much\n");
const longName = Buffer.concat([Buffer.from([0xff, 0xfe, 0x22, 0x27]), Buffer.alloc(251, 0xe4)]);

let reader: ReturnType<typeof readerOfFile>;
let opened: OpenedView;

/** Files whose names and kinds try to be more than that. */
function fill(root: string): void {
	const write = (name: string | Buffer, data: string | Buffer = "x") =>
		writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]), data);
	for (const name of ["etc", "names", "links", "many"]) mkdirSync(join(root, name));
	write("etc/hostname", "web-1\n");
	write("etc/large.txt", large);
	for (const name of [
		"-rf",
		"two\nlines",
		'say "it\'s"',
		"$(reboot)`;|&",
		"Überschrift mit Leerzeichen",
		"~root",
		"a\\b",
	])
		write(`names/${name}`, name);
	write(Buffer.concat([Buffer.from("names/"), longName]), "long");
	symlinkSync("b", join(root, "links/a"));
	symlinkSync("a", join(root, "links/b"));
	symlinkSync("../../../../../../etc/passwd", join(root, "links/outside"));
	symlinkSync("../etc/hostname", join(root, "links/inside"));
	execFileSync("mkfifo", [join(root, "links/pipe")]);
	write("links/sparse", "");
	truncateSync(join(root, "links/sparse"), 1024 ** 4);
	for (let number = 0; number < 10_300; number++) write(`many/${number}`, "");
}

beforeAll(async () => {
	const root = join(folder, "root");
	mkdirSync(root);
	fill(root);
	// The appliance has a user of its own, who must get to its cache.
	chmodSync(folder, 0o711);
	makeDisk(disk, root, 64 * MiB);
	reader = readerOfFile(disk, volumeId);
	opened = await openView({
		reader,
		volumeId,
		prefix,
		cacheFolder: join(folder, "cache"),
		kvm: { usable: false, group: null },
	});
});

afterAll(async () => {
	await opened?.close();
	rmSync(folder, { recursive: true, force: true });
});

async function read(path: string): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	for await (const piece of opened.view.read("/dev/sda", path, AbortSignal.timeout(60_000))) pieces.push(piece);
	return Buffer.concat(pieces);
}

describe("looking into a backup", () => {
	it("shows its file systems and folders, with sizes and times", async () => {
		expect(await opened.view.fileSystems()).toEqual([{ device: "/dev/sda", type: "ext4" }]);
		const { files, truncated } = await opened.view.list("/dev/sda", "/etc");
		expect(truncated).toBe(false);
		expect(files).toEqual([
			{ name: "hostname", kind: "file", sizeBytes: 6, modifiedAt: expect.any(Number) },
			{ name: "large.txt", kind: "file", sizeBytes: large.length, modifiedAt: expect.any(Number) },
		]);
		expect(Math.abs(Date.now() - (files[0]?.modifiedAt ?? 0))).toBeLessThan(3_600_000);
	});

	it("hands out a file as it was, also one of many pieces and one behind a link", async () => {
		expect((await read("/etc/large.txt")).equals(large)).toBe(true);
		expect((await read("/links/inside")).toString()).toBe("web-1\n");
	});

	it("takes the names of files for nothing but names", async () => {
		const { files } = await opened.view.list("/dev/sda", "/names");
		const long = `\\xff\\xfe"'${"\\xe4".repeat(251)}`;
		expect(files.map((file) => file.name)).toEqual(
			[
				"$(reboot)`;|&",
				"-rf",
				"a\\x5cb",
				'say "it\'s"',
				"two\\x0alines",
				long,
				"~root",
				"Überschrift mit Leerzeichen",
			].sort(),
		);
		for (const { name, sizeBytes } of files) expect((await read(`/names/${name}`)).length).toBe(sizeBytes);
		expect((await read("/names/-rf")).toString()).toBe("-rf");
		expect((await read(`/names/${long}`)).toString()).toBe("long");
	});

	it("leads nowhere but into the backup, and says what cannot be read", async () => {
		const failure = (promise: Promise<unknown>) =>
			promise.then(
				() => "read",
				(error) => error.code,
			);
		expect(await failure(read("/links/outside"))).toBe("not_found");
		expect(await failure(read("/links/a"))).toBe("invalid");
		expect(await failure(read("/links/pipe"))).toBe("invalid");
		expect(await failure(read("/links/sparse"))).toBe("invalid");
		expect(await failure(read("/etc"))).toBe("invalid");
		expect(await failure(read("/../etc/shadow"))).toBe("invalid");
		expect(await failure(opened.view.list("/dev/sda", "/nowhere"))).toBe("not_found");
		expect(await failure(opened.view.list("/dev/sda", "/etc/hostname"))).toBe("invalid");
		expect(await failure(opened.view.list("/dev/sdb", "/"))).toBe("not_found");
		expect(opened.isAlive()).toBe(true);
	});

	it("shows the first ten thousand of a folder with more, and says so", async () => {
		const { files, truncated } = await opened.view.list("/dev/sda", "/many");
		expect(files.length).toBe(10_000);
		expect(truncated).toBe(true);
		expect(files.every((file) => file.kind === "file")).toBe(true);
	});

	it("leaves nothing behind when it is closed", async () => {
		await opened.close();
		expect(reader.closed).toBe(true);
		expect(readdirSync(dirname(prefix)).filter((name) => name.startsWith(basename(prefix)))).toEqual([]);
		await expect(opened.view.list("/dev/sda", "/")).rejects.toMatchObject({ code: "unavailable" });
	});
});
