import { createHash } from "node:crypto";
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readSystemRelease } from "../../scripts/system/debian-release.ts";
import { withFileLock } from "../../scripts/system/file-lock.ts";
import { ensureSystemPackages, hasProgram, type SystemNeed } from "../../scripts/system/packages.ts";
import { run } from "../../scripts/system/run.ts";
import { GuestBuildError } from "./packages.ts";

/** A whole Debian: a raw disk with an ext4, and the kernel and initrd that boot it with `debianCommandLine`. Absolute paths. */
export type DebianImage = { disk: string; kernel: string; initrd: string };

/** What QEMU's -append is for it: the first virtio disk, and a shell on the serial line. */
export const debianCommandLine = "root=/dev/vda rw console=ttyS0,115200 quiet panic=1";

const diskMiB = 1024;
/** systemd, a kernel, the guest agent, and fio to measure disks from the inside. */
const packages = ["systemd-sysv", "udev", "linux-image-cloud-amd64", "initramfs-tools", "qemu-guest-agent", "fio"];
const needs: SystemNeed[] = [
	{ package: "mmdebstrap", why: "makes a Debian disk for tests", present: () => hasProgram("mmdebstrap") },
	{ package: "e2fsprogs", why: "makes that disk's file system", present: () => hasProgram("mke2fs") },
];

/**
 * Builds a Debian of this machine's release out of its packages, for tests that need a real distribution: it boots in
 * about half a minute without hardware acceleration, its guest agent answers, root logs in on the serial line by itself.
 * Takes a minute and root; what is already in `outDir` and fits this source is left. Throws GuestBuildError without root.
 */
export async function buildDebianImage(
	outDir: string,
	say: (line: string) => void = console.log,
): Promise<DebianImage> {
	const out = resolve(outDir);
	const image = {
		disk: join(out, "debian.raw"),
		kernel: join(out, "debian.vmlinuz"),
		initrd: join(out, "debian.initrd"),
	};
	if (process.getuid?.() !== 0)
		throw new GuestBuildError("a Debian disk is only built by root: its files belong to users");
	await ensureSystemPackages(needs, say);
	mkdirSync(out, { recursive: true });
	await withFileLock(join(out, ".debian.lock"), async () => {
		const stamp = join(out, "debian.stamp");
		const wanted = createHash("sha256")
			.update(readFileSync(import.meta.filename))
			.digest("hex");
		const isBuilt = [...Object.values(image), stamp].every((path) => existsSync(path));
		if (isBuilt && readFileSync(stamp, "utf8") === wanted) return;
		const startedMs = Date.now();
		// Not below a source tree: while it is built it has a /proc, through which every search for files would walk.
		const work = mkdtempSync(join(tmpdir(), "sterna-debian-"));
		try {
			await build(work, image);
			writeFileSync(stamp, wanted);
		} finally {
			rmSync(work, { recursive: true, force: true });
		}
		say(`Debian disk ready in ${((Date.now() - startedMs) / 1000).toFixed(1)} s: ${image.disk}`);
	});
	return image;
}

async function build(work: string, image: DebianImage): Promise<void> {
	const root = join(work, "root");
	const { codename } = readSystemRelease();
	await run("mmdebstrap", [
		"--variant=minbase",
		`--include=${packages.join(",")}`,
		'--aptopt=APT::Install-Recommends "false"',
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		codename,
		root,
	]);
	writeFileSync(join(root, "etc/hostname"), "debian\n");
	writeFileSync(join(root, "etc/fstab"), "/dev/vda / ext4 defaults 0 1\n");
	const getty = join(root, "etc/systemd/system/serial-getty@ttyS0.service.d");
	mkdirSync(getty, { recursive: true });
	const login = "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear %I 115200 linux\n";
	writeFileSync(join(getty, "autologin.conf"), login);

	const boot = readdirSync(join(root, "boot"));
	const pick = (prefix: string) => {
		const name = boot.find((candidate) => candidate.startsWith(prefix));
		if (!name) throw new GuestBuildError(`the Debian that was built has no ${prefix} in /boot`);
		return join(root, "boot", name);
	};
	copyFileSync(pick("vmlinuz-"), image.kernel);
	copyFileSync(pick("initrd.img-"), image.initrd);
	const disk = join(work, "disk.raw");
	await run("mke2fs", ["-q", "-t", "ext4", "-d", root, disk, `${diskMiB}M`]);
	await run("cp", ["--sparse=always", disk, image.disk]);
	for (const path of Object.values(image)) chmodSync(path, 0o644);
}

if (import.meta.main)
	console.log(
		JSON.stringify(
			await buildDebianImage(process.argv[2] ?? resolve(import.meta.dirname, "../../.sterna/guest")),
			null,
			2,
		),
	);
